/** What there is to say of packages, in the reader's language. */
import { useLingui } from "@lingui/react/macro";
import type { Plan, Step } from "~/api/importing";
import type { PackageFault, Reason } from "~/api/package";

type Note = NonNullable<Plan["notes"]>[number];

export function useFaultWords(): (fault: PackageFault) => string {
  const { t } = useLingui();
  return ({ reason, entry }) => {
    const words: Record<Reason, string> = {
      empty: t`The file is empty.`,
      not_tar: t`This is no OVA package: it is no tar archive.`,
      damaged: t`The archive is damaged: its headers say what cannot be.`,
      cut: t`The archive ends within a header. Was it copied whole?`,
      beyond_end: t`A file in the package goes beyond its end. Was it copied whole?`,
      too_many: t`The archive has more entries than a package can have.`,
      nameless: t`A file in the package has no name.`,
      folder: t`The package has the folder "${entry}" in it. Packages have plain files alone.`,
      long_name: t`A file in the package has too long a name.`,
      other_folder: t`The file "${entry}" in the package leads into another folder. It may be an attack; nothing more of it is read.`,
      control: t`A file in the package has control characters in its name. It may be an attack; nothing more of it is read.`,
      twice: t`The file "${entry}" is in the package twice. It may be an attack; nothing more of it is read.`,
      no_plain_file: t`The entry "${entry}" is no plain file: a link or a device, perhaps. It may be an attack; nothing more of it is read.`,
      no_descriptor: t`There is no descriptor (.ovf) in the file: this is no OVA package.`,
      text_too_long: t`"${entry}" is longer than a descriptor or manifest can be.`,
      text_encoding: t`The descriptor or manifest is not in UTF-8.`,
    };
    return words[reason];
  };
}

export function useNoteWords(): Record<Note, string> {
  const { t } = useLingui();
  return {
    windows_drivers: t`Windows gets SATA disks and e1000e nics, which it has drivers for; virtio ones are faster.`,
    virtio_names: t`Disks and nics are virtio here: names such as /dev/sda and eth0 may change in the guest.`,
    firmware_settings: t`Settings of the firmware are not taken over: the guest boots from its fallback loader.`,
    no_manifest: t`The package has no manifest: nobody can tell whether it was damaged or changed.`,
  };
}

export function useStepWords(): Record<Step, string> {
  const { t } = useLingui();
  return {
    checking: t`Check the disks`,
    sending: t`Send them`,
    converting: t`Convert them`,
    creating: t`Create the VM`,
    copying: t`Copy its disks`,
    clearing: t`Clear up`,
  };
}
