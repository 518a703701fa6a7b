/**
 * Tables of objects. Only the rows that are seen are in the page, so that 10,000 scroll as smoothly as ten.
 *
 * The rows lie in one grid with a common column template; what a row is for is its first cell's link.
 */
import { useLingui } from "@lingui/react/macro";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useRouter } from "@tanstack/react-router";
import { memo, type MouseEvent, type ReactNode, useLayoutEffect, useMemo, useRef, useState } from "react";
import { Checkbox } from "./fields";
import { Icon } from "./Icon";

export interface Column<T> {
  id: string;
  name: string;
  /** CSS width in the grid, such as `minmax(8rem, 2fr)`. */
  width: string;
  cell: (row: T) => ReactNode;
  /** Sortable by this. */
  by?: (row: T) => string | number;
  /** Left out on narrow screens. */
  wide?: boolean;
  right?: boolean;
}

export interface Sort {
  id: string;
  down: boolean;
}

const ROW_PX = 40;
/** Shorter tables are in the page as a whole, and the page scrolls. */
const WHOLE_MAX = 60;

interface Props<T> {
  name: string;
  rows: readonly T[];
  columns: Column<T>[];
  keyOf: (row: T) => string;
  selected?: ReadonlySet<string>;
  onSelect?: (selected: Set<string>) => void;
  empty?: ReactNode;
  sort?: Sort;
  onSort?: (sort: Sort) => void;
}

export function useNarrow(): boolean {
  const query = useMemo(() => matchMedia("(max-width: 719px)"), []);
  const [narrow, set] = useState(query.matches);
  useLayoutEffect(() => {
    const listener = () => set(query.matches);
    query.addEventListener("change", listener);
    return () => query.removeEventListener("change", listener);
  }, [query]);
  return narrow;
}

const compare = (a: string | number, b: string | number) =>
  typeof a === "number" && typeof b === "number" ? a - b : String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;

export function sorted<T>(rows: readonly T[], columns: Column<T>[], sort: Sort): readonly T[] {
  const by = columns.find((c) => c.id === sort.id)?.by;
  if (!by) return rows;
  const keyed = rows.map((row) => [by(row), row] as const);
  keyed.sort((a, b) => (sort.down ? compare(b[0], a[0]) : compare(a[0], b[0])));
  return keyed.map(([, row]) => row);
}

export function DataTable<T>({ name, rows, columns, keyOf, selected, onSelect, empty, sort: givenSort, onSort }: Props<T>) {
  const { t } = useLingui();
  const narrow = useNarrow();
  const [ownSort, setOwnSort] = useState<Sort>({ id: columns[0]?.id ?? "", down: false });
  const sort = givenSort ?? ownSort;
  const setSort = onSort ?? setOwnSort;
  const shown = useMemo(() => (narrow ? columns.filter((c) => !c.wide) : columns), [columns, narrow]);
  // Lists come in order of their first column: then there is nothing to sort.
  const ordered = useMemo(
    () => (sort.id === columns[0]?.id && sort.id === "name" && !sort.down ? rows : sorted(rows, columns, sort)),
    [rows, columns, sort],
  );
  const scroller = useRef<HTMLDivElement>(null);
  const whole = ordered.length <= WHOLE_MAX;
  const virtual = useVirtualizer({
    count: ordered.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: 4,
    useFlushSync: false,
    enabled: !whole,
  });
  // A narrow screen gives each column its share, however little that is: pages never scroll sideways.
  const widths = shown.map((c) => (narrow ? c.width.replace(/^minmax\([^,]+,/, "minmax(0,") : c.width));
  const template = `${onSelect ? "36px " : ""}${widths.join(" ")}`;
  const items = whole ? ordered.map((_, index) => ({ index, start: index * ROW_PX })) : virtual.getVirtualItems();
  const chosen = selected?.size ?? 0;
  const pick = (key: string, on: boolean) => {
    const next = new Set(selected);
    if (on) next.add(key);
    else next.delete(key);
    onSelect?.(next);
  };
  // What is said instead of rows is no row, and may have buttons.
  if (ordered.length === 0 && empty) return <>{empty}</>;
  return (
    <div role="table" aria-label={name} aria-rowcount={ordered.length + 1} aria-colcount={shown.length + (onSelect ? 1 : 0)} className="flex flex-col min-h-0">
      <div role="rowgroup" className="border-b border-line">
        <div role="row" aria-rowindex={1} className="grid items-center h-9 px-2 text-xs text-muted" style={{ gridTemplateColumns: template }}>
          {onSelect ? (
            <div role="columnheader" className="px-2">
              <Checkbox label={t`Select all`} isSelected={chosen > 0 && chosen === ordered.length} indeterminate={chosen > 0 && chosen < ordered.length}
                onChange={(on) => onSelect(on ? new Set(ordered.map(keyOf)) : new Set())} />
            </div>
          ) : null}
          {shown.map((c) => (
            <div key={c.id} role="columnheader" className={`px-2 min-w-0 ${c.right ? "text-right" : ""}`}
              {...(c.by ? { "aria-sort": sort.id === c.id ? (sort.down ? "descending" as const : "ascending" as const) : "none" as const } : {})}>
              {c.by ? (
                <button type="button" className={`inline-flex items-center gap-1 max-w-full hover:text-text font-medium h-7 ${sort.id === c.id ? "text-text" : ""}`}
                  onClick={() => setSort({ id: c.id, down: sort.id === c.id && !sort.down })}>
                  <span className="truncate">{c.name}</span>
                  {sort.id === c.id ? <Icon name={sort.down ? "down" : "up"} size={12} /> : null}
                </button>
              ) : <span className="font-medium">{c.name}</span>}
            </div>
          ))}
        </div>
      </div>
      {ordered.length === 0 ? null : (
        <div ref={scroller} data-testid="rows" tabIndex={whole ? -1 : 0} role="rowgroup" aria-label={whole ? undefined : name}
          className={whole ? "" : "overflow-auto h-[calc(100dvh-15.5rem)] min-h-64"}>
          <div role="presentation" className="relative" style={{ height: whole ? ordered.length * ROW_PX : virtual.getTotalSize() }}>
            {items.map(({ index, start }) => {
              const row = ordered[index]!;
              const key = keyOf(row);
              return (
                <Row key={key} row={row} index={index} start={start} template={template} columns={shown} keyed={key}
                  picked={selected?.has(key) ?? false} onPick={onSelect ? pick : undefined} />
              );
            })}
          </div>
        </div>
      )}
    </div>
  );
}

/** A link in a table: hundreds of them pass by while it scrolls, so it is a plain one that the router hears of. */
export function RowLink({ to, children }: { to: string; children: ReactNode }) {
  const router = useRouter();
  const go = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    router.history.push(to);
  };
  return <a href={to} onClick={go} className="font-medium hover:text-accent hover:underline underline-offset-2">{children}</a>;
}

/** Long names are cut; the whole of one is its tooltip. */
function titleOf<T>(column: Column<T>, row: T): string | undefined {
  const value = column.by?.(row);
  return typeof value === "string" && value.length > 12 ? value : undefined;
}

interface RowProps<T> {
  row: T;
  index: number;
  start: number;
  template: string;
  columns: Column<T>[];
  keyed: string;
  picked: boolean;
  onPick: ((key: string, on: boolean) => void) | undefined;
}

function RowOf<T>({ row, index, start, template, columns, keyed, picked, onPick }: RowProps<T>) {
  const { t } = useLingui();
  return (
    <div role="row" aria-rowindex={index + 2} {...(onPick ? { "aria-selected": picked } : {})}
      className={`absolute inset-x-0 grid items-center px-2 border-b border-line/70 hover:bg-sunken ${picked ? "bg-accent-soft" : ""}`}
      style={{ height: ROW_PX, transform: `translateY(${start}px)`, gridTemplateColumns: template }}>
      {onPick ? (
        <div role="cell" className="px-2">
          <input type="checkbox" aria-label={t`Select ${keyed}`} checked={picked} onChange={(event) => onPick(keyed, event.target.checked)} className="block size-4 accent-accent cursor-pointer" />
        </div>
      ) : null}
      {columns.map((c) => (
        <div key={c.id} role="cell" title={titleOf(c, row)} className={`px-2 min-w-0 truncate ${c.right ? "text-right" : ""}`}>{c.cell(row)}</div>
      ))}
    </div>
  );
}

const Row = memo(RowOf, (a, b) =>
  a.row === b.row && a.index === b.index && a.start === b.start && a.template === b.template && a.picked === b.picked && a.columns === b.columns,
) as typeof RowOf;
