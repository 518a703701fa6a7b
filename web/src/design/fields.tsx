/** Form fields: each has a label, may have a hint, and shows what the server says of it. */
import type { ReactNode } from "react";
import {
  Button as AriaButton, Checkbox as AriaCheckbox, FieldError, Input, Label, ListBox, ListBoxItem, NumberField as AriaNumberField,
  Group, Popover, Select as AriaSelect, SelectValue, Switch as AriaSwitch, Text, TextArea, TextField as AriaTextField,
} from "react-aria-components";
import { Icon } from "./Icon";

interface Common {
  label: string;
  hint?: ReactNode;
  /** What is wrong with it. */
  fault?: string | undefined;
  isRequired?: boolean;
  isDisabled?: boolean;
}

function Below({ hint, fault }: { hint?: ReactNode; fault?: string | undefined }) {
  return (
    <>
      <FieldError className="text-bad text-xs">{fault}</FieldError>
      {hint && !fault ? <Text slot="description" className="text-muted text-xs">{hint}</Text> : null}
    </>
  );
}

// What the server refused can be sent again once it is changed: the browser would hold it back.
const VALIDATION = { validationBehavior: "aria" } as const;
const FIELD = "grid gap-1 content-start min-w-0";
const LABEL = "text-xs font-medium text-muted";

export function TextField({ label, hint, fault, value, onChange, placeholder, type, autoFocus, mono, lines, autoComplete, ...rest }: Common & {
  value: string;
  onChange: (value: string) => void;
  placeholder?: string;
  type?: "text" | "password" | "search";
  autoFocus?: boolean;
  mono?: boolean;
  lines?: number;
  autoComplete?: string;
}) {
  const look = `control ${mono ? "font-mono !text-xs" : ""}`;
  return (
    <AriaTextField {...rest} className={FIELD} value={value} onChange={onChange} isInvalid={Boolean(fault)} {...VALIDATION} type={type ?? "text"}
      {...(autoFocus ? { autoFocus } : {})} autoComplete={autoComplete ?? "off"}>
      <Label className={LABEL}>{label}</Label>
      {lines
        ? <TextArea rows={lines} placeholder={placeholder ?? ""} className={`${look} !h-auto py-2 leading-5 resize-y`} spellCheck={false} />
        : <Input placeholder={placeholder ?? ""} className={look} spellCheck={false} />}
      <Below hint={hint} fault={fault} />
    </AriaTextField>
  );
}

export function NumberField({ label, hint, fault, value, onChange, min, max, step, unit, ...rest }: Common & {
  value: number;
  onChange: (value: number) => void;
  min?: number;
  max?: number;
  step?: number;
  unit?: string;
}) {
  const limits = { ...(min === undefined ? {} : { minValue: min }), ...(max === undefined ? {} : { maxValue: max }), ...(step ? { step } : {}) };
  return (
    <AriaNumberField {...rest} {...limits} className={FIELD} value={value} onChange={(v) => onChange(Number.isNaN(v) ? (min ?? 0) : v)} isInvalid={Boolean(fault)} {...VALIDATION}
      formatOptions={{ maximumFractionDigits: 2, useGrouping: false }}>
      <Label className={LABEL}>{unit ? `${label} (${unit})` : label}</Label>
      <Group className="flex">
        <Input className="control !rounded-r-none" />
        <AriaButton slot="decrement" className="border border-l-0 border-line-strong w-8 h-8 hover:bg-sunken shrink-0 data-[disabled]:opacity-50">−</AriaButton>
        <AriaButton slot="increment" className="border border-l-0 border-line-strong w-8 h-8 hover:bg-sunken shrink-0 rounded-r-md data-[disabled]:opacity-50">+</AriaButton>
      </Group>
      <Below hint={hint} fault={fault} />
    </AriaNumberField>
  );
}

export interface Choice {
  id: string;
  name: string;
  told?: string;
}

export function Select({ label, hint, fault, value, onChange, choices, placeholder, ...rest }: Common & {
  value: string | null;
  onChange: (value: string) => void;
  choices: Choice[];
  placeholder?: string;
}) {
  return (
    <AriaSelect {...rest} className={FIELD} value={value} isInvalid={Boolean(fault)} {...VALIDATION} placeholder={placeholder ?? ""}
      onChange={(key) => { if (key !== null) onChange(String(key)); }}>
      <Label className={LABEL}>{label}</Label>
      <AriaButton className="control flex items-center justify-between gap-2 text-left">
        <SelectValue className="truncate data-[placeholder]:text-muted [&_[slot=description]]:hidden" />
        <Icon name="down" />
      </AriaButton>
      <Below hint={hint} fault={fault} />
      <Popover className="min-w-(--trigger-width) rounded-lg border border-line bg-raised shadow-pop p-1 overflow-auto data-[entering]:animate-[pop_120ms_ease-out]">
        <ListBox items={choices} className="outline-none max-h-72 overflow-auto">
          {(choice) => (
            <ListBoxItem id={choice.id} textValue={choice.name}
              className="flex flex-col rounded px-2 py-1.5 cursor-pointer data-[focused]:bg-accent-soft data-[selected]:font-medium">
              <Text slot="label">{choice.name}</Text>
              {choice.told ? <Text slot="description" className="text-xs text-muted font-normal">{choice.told}</Text> : null}
            </ListBoxItem>
          )}
        </ListBox>
      </Popover>
    </AriaSelect>
  );
}

export function Checkbox({ isSelected, onChange, label, indeterminate, children }: {
  isSelected: boolean;
  onChange: (value: boolean) => void;
  label?: string;
  indeterminate?: boolean;
  children?: ReactNode;
}) {
  return (
    <AriaCheckbox isSelected={isSelected} onChange={onChange} isIndeterminate={Boolean(indeterminate)} {...(label ? { "aria-label": label } : {})}
      className="group inline-flex items-center gap-2 cursor-pointer min-h-6">
      <span className="grid place-items-center size-4 shrink-0 rounded border border-line-strong bg-surface text-on-accent group-data-[selected]:bg-accent group-data-[selected]:border-accent group-data-[indeterminate]:bg-accent group-data-[focus-visible]:outline-2 outline-accent outline-offset-1">
        {indeterminate ? <span className="w-2 h-0.5 bg-current" /> : isSelected ? <Icon name="check" size={12} /> : null}
      </span>
      {children}
    </AriaCheckbox>
  );
}

export function Switch({ isSelected, onChange, children, isDisabled }: { isSelected: boolean; onChange: (value: boolean) => void; children: ReactNode; isDisabled?: boolean }) {
  return (
    <AriaSwitch isSelected={isSelected} onChange={onChange} isDisabled={Boolean(isDisabled)} className="group inline-flex items-center gap-2 cursor-pointer min-h-6">
      <span className="w-8 h-[18px] shrink-0 rounded-full bg-line-strong p-0.5 transition-colors group-data-[selected]:bg-accent group-data-[focus-visible]:outline-2 outline-accent outline-offset-1">
        <span className="block size-3.5 rounded-full bg-surface transition-transform group-data-[selected]:translate-x-3.5" />
      </span>
      {children}
    </AriaSwitch>
  );
}
