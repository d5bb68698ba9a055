/** The settings of a row in a dialect: one line a setting makes the field of the response and that of the create and update bodies. */
import { z } from 'zod'
import type { IsEnum, RowSettings, SettingType } from '../../platform/row-settings.ts'
import type { Sources } from './route.ts'

/** The dialect's name of a setting, with a description of the response's field where it needs one. Null: not part of the contract. */
type Line = string | { name: string; description: string } | null

/** Enums need the dialect's words and have no line yet. */
type Lines<Values> = { readonly [Name in keyof Values]-?: IsEnum<NonNullable<Values[Name]>> extends true ? null : Line }

type NameOf<Entry> = Entry extends { name: infer Name extends string } ? Name : Entry extends string ? Entry : never

type Body<Values, Table extends Lines<Values>> = { [Name in keyof Values as NameOf<Table[Name]>]: Values[Name] }

type Shape<Fields> = { [Name in keyof Fields]: z.ZodType<Fields[Name]> }

export type SettingFields<Values, Table extends Lines<Values>> = {
  /** Fields of the request's body. */
  sources: Sources
  /** Fields of the response's schema. */
  shape: Shape<Body<Values, Table>>
  /** Fields of the response. */
  body(row: Values): Body<Values, Table>
}

/** The fields have the order of `lines`. */
export function settingFields<Values extends object, const Table extends Lines<Values>>(
  settings: RowSettings<Values>,
  lines: Table,
): SettingFields<Values, Table> {
  const offered = (Object.entries(lines) as [keyof Values & string, Line][]).flatMap(([setting, line]) =>
    line === null ? [] : [{ setting, ...(typeof line === 'string' ? { name: line, description: undefined } : line) }],
  )
  const mapped = (map: (field: (typeof offered)[number]) => unknown) => Object.fromEntries(offered.map((field) => [field.name, map(field)]))
  return {
    sources: mapped(({ setting }) => setting) as Sources,
    shape: mapped(({ setting, description }) => {
      const type = types[settings.typeOf(setting)]
      const schema = settings.isNullable(setting) ? type.nullable() : type
      return description ? schema.describe(description) : schema
    }) as never,
    body: (row) => mapped(({ setting }) => row[setting]) as never,
  }
}

const types: Record<SettingType, z.ZodType> = {
  string: z.string(),
  integer: z.int(),
  boolean: z.boolean(),
  'string[]': z.array(z.string()),
  'integer[]': z.array(z.int()),
  json: z.json(),
}
