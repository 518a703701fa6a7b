/**
 * SHA-1, SHA-256 and SHA-512 (FIPS 180-4) piece by piece. The browser's own digests want all bytes at once, and disks are
 * larger than its memory.
 */

/** Constants of SHA-512, high and low halves; the high halves of the first 64 are those of SHA-256. */
const [K_HIGH, K_LOW] = constants();

/** The first 64 bits of the fractional parts of the cube roots of the first 80 primes. */
function constants(): [Int32Array, Int32Array] {
  const [high, low] = [new Int32Array(80), new Int32Array(80)];
  for (let i = 0, prime = 2n; i < 80; prime++) {
    let divisor = 2n;
    while (divisor * divisor <= prime && prime % divisor !== 0n) divisor++;
    if (divisor * divisor <= prime) continue;
    const root = rootOf(prime << 192n, 3n);
    high[i] = Number((root >> 32n) & 0xffffffffn);
    low[i] = Number(root & 0xffffffffn);
    i += 1;
  }
  return [high, low];
}

/** The integer root, by halving. */
function rootOf(value: bigint, degree: bigint): bigint {
  let [from, to] = [0n, 1n << 80n];
  while (to - from > 1n) {
    const middle = (from + to) >> 1n;
    if (middle ** degree <= value) from = middle;
    else to = middle;
  }
  return from;
}

const words = (...values: number[]) => new Int32Array(values);

abstract class Digest {
  private readonly rest: Uint8Array;
  private filled = 0;
  private bytes = 0;

  constructor(private readonly block: 64 | 128) {
    this.rest = new Uint8Array(block);
  }

  protected abstract state(): Int32Array;
  protected abstract mix(view: DataView, at: number): void;

  update(bytes: Uint8Array): this {
    this.bytes += bytes.length;
    let at = 0;
    if (this.filled > 0) {
      at = Math.min(this.block - this.filled, bytes.length);
      this.rest.set(bytes.subarray(0, at), this.filled);
      this.filled += at;
      if (this.filled < this.block) return this;
      this.mix(new DataView(this.rest.buffer), 0);
      this.filled = 0;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (; at + this.block <= bytes.length; at += this.block) this.mix(view, at);
    this.rest.set(bytes.subarray(at));
    this.filled = bytes.length - at;
    return this;
  }

  /** In hexadecimal. */
  finish(): string {
    const bits = BigInt(this.bytes) * 8n;
    const lengthBytes = this.block / 8;
    const padded = this.filled + 1 + lengthBytes <= this.block ? this.block : 2 * this.block;
    const end = new Uint8Array(padded);
    end.set(this.rest.subarray(0, this.filled));
    end[this.filled] = 0x80;
    const view = new DataView(end.buffer);
    view.setBigUint64(padded - 8, bits);
    for (let at = 0; at < padded; at += this.block) this.mix(view, at);
    return [...this.state()].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }
}

class Sha1 extends Digest {
  private readonly h = words(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);
  private readonly w = new Int32Array(80);

  constructor() {
    super(64);
  }

  protected state() {
    return this.h;
  }

  protected mix(view: DataView, at: number) {
    const { h, w } = this;
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(at + i * 4);
    for (let i = 16; i < 80; i++) {
      const x = w[i - 3]! ^ w[i - 8]! ^ w[i - 14]! ^ w[i - 16]!;
      w[i] = (x << 1) | (x >>> 31);
    }
    let a = h[0]!, b = h[1]!, c = h[2]!, d = h[3]!, e = h[4]!;
    for (let i = 0; i < 80; i++) {
      const mixed = i < 20 ? ((b & c) | (~b & d)) + 0x5a827999 : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1 : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc : (b ^ c ^ d) + 0xca62c1d6;
      const next = (((a << 5) | (a >>> 27)) + mixed + e + w[i]!) | 0;
      e = d;
      d = c;
      c = (b << 30) | (b >>> 2);
      b = a;
      a = next;
    }
    h[0]! += a;
    h[1]! += b;
    h[2]! += c;
    h[3]! += d;
    h[4]! += e;
  }
}

const turned = (x: number, by: number) => (x >>> by) | (x << (32 - by));

class Sha256 extends Digest {
  private readonly h = words(0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19);
  private readonly w = new Int32Array(64);

  constructor() {
    super(64);
  }

  protected state() {
    return this.h;
  }

  protected mix(view: DataView, at: number) {
    const { h: state, w } = this;
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(at + i * 4);
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15]!, y = w[i - 2]!;
      w[i] = (w[i - 16]! + (turned(x, 7) ^ turned(x, 18) ^ (x >>> 3)) + w[i - 7]! + (turned(y, 17) ^ turned(y, 19) ^ (y >>> 10))) | 0;
    }
    let a = state[0]!, b = state[1]!, c = state[2]!, d = state[3]!;
    let e = state[4]!, f = state[5]!, g = state[6]!, h = state[7]!;
    for (let i = 0; i < 64; i++) {
      const one = (h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) + K_HIGH[i]! + w[i]!) | 0;
      const two = ((turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + one) | 0;
      d = c;
      c = b;
      b = a;
      a = (one + two) | 0;
    }
    state[0]! += a;
    state[1]! += b;
    state[2]! += c;
    state[3]! += d;
    state[4]! += e;
    state[5]! += f;
    state[6]! += g;
    state[7]! += h;
  }
}

/** In halves of 32 bits, which engines count with quickly; 64 bits at once they do not. */
class Sha512 extends Digest {
  private readonly s = words(
    0x6a09e667, 0xf3bcc908, 0xbb67ae85, 0x84caa73b, 0x3c6ef372, 0xfe94f82b, 0xa54ff53a, 0x5f1d36f1,
    0x510e527f, 0xade682d1, 0x9b05688c, 0x2b3e6c1f, 0x1f83d9ab, 0xfb41bd6b, 0x5be0cd19, 0x137e2179,
  );
  private readonly w = new Int32Array(160);

  constructor() {
    super(128);
  }

  protected state() {
    return this.s;
  }

  protected mix(view: DataView, at: number) {
    const { s, w } = this;
    for (let i = 0; i < 32; i++) w[i] = view.getInt32(at + i * 4);
    for (let i = 32; i < 160; i += 2) {
      const xh = w[i - 30]!, xl = w[i - 29]!, yh = w[i - 4]!, yl = w[i - 3]!;
      const s0h = right(xh, xl, 1) ^ right(xh, xl, 8) ^ (xh >>> 7);
      const s0l = right(xl, xh, 1) ^ right(xl, xh, 8) ^ ((xl >>> 7) | (xh << 25));
      const s1h = right(yh, yl, 19) ^ right(yl, yh, 29) ^ (yh >>> 6);
      const s1l = right(yl, yh, 19) ^ right(yh, yl, 29) ^ ((yl >>> 6) | (yh << 26));
      const low = (w[i - 31]! >>> 0) + (s0l >>> 0) + (w[i - 13]! >>> 0) + (s1l >>> 0);
      w[i + 1] = low;
      w[i] = (w[i - 32]! + s0h + w[i - 14]! + s1h + carry(low)) | 0;
    }
    let ah = s[0]!, al = s[1]!, bh = s[2]!, bl = s[3]!, ch = s[4]!, cl = s[5]!, dh = s[6]!, dl = s[7]!;
    let eh = s[8]!, el = s[9]!, fh = s[10]!, fl = s[11]!, gh = s[12]!, gl = s[13]!, hh = s[14]!, hl = s[15]!;
    for (let i = 0; i < 80; i++) {
      const e1h = right(eh, el, 14) ^ right(eh, el, 18) ^ right(el, eh, 9);
      const e1l = right(el, eh, 14) ^ right(el, eh, 18) ^ right(eh, el, 9);
      const oneLow = (hl >>> 0) + (e1l >>> 0) + (((el & fl) ^ (~el & gl)) >>> 0) + (K_LOW[i]! >>> 0) + (w[2 * i + 1]! >>> 0);
      const oneHigh = (hh + e1h + ((eh & fh) ^ (~eh & gh)) + K_HIGH[i]! + w[2 * i]! + carry(oneLow)) | 0;
      const a0h = right(ah, al, 28) ^ right(al, ah, 2) ^ right(al, ah, 7);
      const a0l = right(al, ah, 28) ^ right(ah, al, 2) ^ right(ah, al, 7);
      const twoLow = (a0l >>> 0) + (((al & bl) ^ (al & cl) ^ (bl & cl)) >>> 0);
      const twoHigh = (a0h + ((ah & bh) ^ (ah & ch) ^ (bh & ch)) + carry(twoLow)) | 0;
      const eLow = (dl >>> 0) + (oneLow >>> 0);
      const aLow = (oneLow >>> 0) + (twoLow >>> 0);
      hh = gh;
      hl = gl;
      gh = fh;
      gl = fl;
      fh = eh;
      fl = el;
      eh = (dh + oneHigh + carry(eLow)) | 0;
      el = eLow | 0;
      dh = ch;
      dl = cl;
      ch = bh;
      cl = bl;
      bh = ah;
      bl = al;
      ah = (oneHigh + twoHigh + carry(aLow)) | 0;
      al = aLow | 0;
    }
    this.add(0, ah, al);
    this.add(2, bh, bl);
    this.add(4, ch, cl);
    this.add(6, dh, dl);
    this.add(8, eh, el);
    this.add(10, fh, fl);
    this.add(12, gh, gl);
    this.add(14, hh, hl);
  }

  private add(at: number, high: number, low: number) {
    const sum = (this.s[at + 1]! >>> 0) + (low >>> 0);
    this.s[at] = (this.s[at]! + high + carry(sum)) | 0;
    this.s[at + 1] = sum;
  }
}

/** What a sum of low halves adds to the high one. */
const carry = (sum: number) => (sum / 2 ** 32) | 0;

/** The first half of a value of 64 bits that is turned right by less than 32. */
const right = (first: number, second: number, by: number) => (first >>> by) | (second << (32 - by));

export type Algorithm = "sha1" | "sha256" | "sha512";

export function digest(algorithm: Algorithm): Digest {
  return algorithm === "sha1" ? new Sha1() : algorithm === "sha256" ? new Sha256() : new Sha512();
}

const PIECE_BYTES = 2 ** 20;

/** Of a file or a part of one; `told` hears how far it is. The page goes on meanwhile. */
export async function digestsOf(content: Blob, algorithms: Algorithm[], signal: AbortSignal, told: (bytes: number) => void): Promise<string[]> {
  const all = algorithms.map(digest);
  for (let at = 0; at < content.size; at += PIECE_BYTES) {
    signal.throwIfAborted();
    const piece = new Uint8Array(await content.slice(at, at + PIECE_BYTES).arrayBuffer());
    for (const one of all) one.update(piece);
    told(Math.min(content.size, at + PIECE_BYTES));
  }
  return all.map((one) => one.finish());
}
