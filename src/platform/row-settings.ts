/**
 * Settings of a row that callers may change. A concept declares each of them once, under the name of its column, with its input schema
 * and its default; the input, the stored values and the copy that something keeps of them follow from the declaration. GraphQL
 * (`graphql/builder/row-settings.ts`) and the REST dialects take it as a list that they must cover.
 */
import { z } from 'zod'
import type { App } from './work.ts'

/** What a default may depend on besides other settings. */
type Program = Pick<App, 'settings' | 'domain'>

export type RowSetting<Value, Values> = {
  /** Schema of a value that is neither omitted nor null. */
  schema: z.ZodType<NonNullable<Value>>
  /** Stored when a new row's input omits the setting, and whenever the input is null. It may depend on the settings declared before. */
  default: Value | ((program: Program, values: Values) => Value)
}

export type SettingType = 'string' | 'integer' | 'boolean' | 'string[]' | 'integer[]' | 'json'

/** Whether a value is one of several words. */
export type IsEnum<Value> = [Value] extends [string] ? (string extends Value ? false : true) : false

export type RowSettings<Values> = {
  declared: { readonly [Name in keyof Values]-?: RowSetting<Values[Name], Values> }
  names: readonly (keyof Values & string)[]
  /** Type of a value that is not null; of an enum, `string`. */
  typeOf(name: keyof Values): SettingType
  isNullable(name: keyof Values): boolean
  /** Input fields. Omitted: the value is kept, or the default in a new row. Null: the default. */
  input: z.ZodObject<{ [Name in keyof Values]-?: z.ZodOptional<z.ZodNullable<z.ZodType<NonNullable<Values[Name]>>>> }>
  /** Every setting as it is to be stored: from `input`, else from `current`, else its default. */
  values(program: Program, input: SettingsInput<Values>, current?: Partial<Values>): Values
  /** The settings among the columns of a row. */
  of(row: Values): Values
}

export type SettingsInput<Values> = { [Name in keyof Values]?: Values[Name] | null | undefined }

export function defineRowSettings<Values extends object>(declared: RowSettings<Values>['declared']): RowSettings<Values> {
  type Name = keyof Values & string
  const names = Object.keys(declared) as Name[]
  const mapped = <Value>(map: (name: Name) => Value) => Object.fromEntries(names.map((name) => [name, map(name)]))
  return {
    declared,
    names,
    typeOf: (name) => typeOf(declared[name].schema),
    isNullable: (name) => declared[name].default === null,
    input: z.object(mapped((name) => declared[name].schema.nullish())) as never,
    values(program, input, current = {}) {
      const values = {} as Values
      for (const name of names) {
        const { default: fallback } = declared[name]
        const given = input[name] === undefined ? current[name] : input[name]
        values[name] = given ?? (fallback instanceof Function ? fallback(program, values) : fallback)
      }
      return values
    },
    of: (row) => mapped((name) => row[name]) as Values,
  }
}

function typeOf(schema: z.ZodType): SettingType {
  const { type, items } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as { type?: string; items?: { type?: string } }
  const name = type === 'array' ? `${items?.type}[]` : type
  return types.find((known) => known === name) ?? 'json'
}

const types: readonly SettingType[] = ['string', 'integer', 'boolean', 'string[]', 'integer[]']
