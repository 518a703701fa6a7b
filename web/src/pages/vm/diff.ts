/** What is different between two objects, as paths with their values before and after. */
export interface Difference {
  path: string;
  before: string | undefined;
  after: string | undefined;
}

function flat(value: unknown, path: string, into: Map<string, string>) {
  if (Array.isArray(value)) {
    value.forEach((item, i) => {
      const name = typeof item === "object" && item !== null && "name" in item ? String(item.name) : String(i);
      flat(item, `${path}[${name}]`, into);
    });
  } else if (typeof value === "object" && value !== null) {
    for (const [key, inner] of Object.entries(value)) flat(inner, path ? `${path}.${key}` : key, into);
  } else if (value !== undefined && value !== null) {
    into.set(path, String(value));
  }
}

export function differences(before: unknown, after: unknown): Difference[] {
  const [old, young] = [new Map<string, string>(), new Map<string, string>()];
  flat(before, "", old);
  flat(after, "", young);
  const paths = [...new Set([...old.keys(), ...young.keys()])].sort();
  return paths.filter((p) => old.get(p) !== young.get(p)).map((p) => ({ path: p, before: old.get(p), after: young.get(p) }));
}
