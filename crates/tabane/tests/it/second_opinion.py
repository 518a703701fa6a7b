"""The SHA-256 of what is on a disk, as another reader understands its file.

    second_opinion.py READER FILE

Readers: dissect.vmdk, dissect.vhdx, libvmdk, libvhdi. Exit status 77: the reader is not installed.
"""

import hashlib
import sys


def opened(reader, path):
    """The size in bytes, and a function that reads on."""
    if reader == "libvmdk":
        import pyvmdk

        handle = pyvmdk.handle()
        handle.open(path)
        handle.open_extent_data_files()
        return handle.get_media_size(), handle.read_buffer
    if reader == "libvhdi":
        import pyvhdi

        file = pyvhdi.file()
        file.open(path)
        return file.get_media_size(), file.read_buffer
    if reader == "dissect.vmdk":
        from dissect.hypervisor.disk.vmdk import VMDK as Disk
    else:
        from dissect.hypervisor.disk.vhdx import VHDX as Disk
    disk = Disk(open(path, "rb"))
    return disk.size, disk.read


def main():
    _, reader, path = sys.argv
    try:
        size, read = opened(reader, path)
    except ImportError as error:
        print(error, file=sys.stderr)
        return 77
    digest = hashlib.sha256()
    while size > 0:
        piece = read(min(size, 1 << 20))
        if not piece:
            print(f"it ends {size} bytes too early", file=sys.stderr)
            return 1
        digest.update(piece)
        size -= len(piece)
    print(digest.hexdigest())
    return 0


sys.exit(main())
