/** The settings of a row in GraphQL: one line per setting defines the field of the object and those of the create and update inputs. */
import type { EnumRef, FieldRef, InputFieldMap } from '@pothos/core'
import type { IsEnum, RowSettings, SettingType } from '../../platform/row-settings.ts'
import type { Types } from './builder.ts'
import type { InputBuilder } from './mutation.ts'

type Texts = {
  /** What the setting is, and what null means. Describes the object's field and begins the description of the inputs' fields. */
  text: string
  /** Added in the inputs: limits, default, errors. */
  input?: string
  /** Added in the object. */
  output?: string
}

// biome-ignore lint/suspicious/noExplicitAny: of any values
type AnyEnum = EnumRef<Types, any, any>

/** A text alone where the inputs need no other. Only an enum has to be named: all other types follow from the setting's schema. */
type Line<Value> = IsEnum<NonNullable<Value>> extends true ? Texts & { type: AnyEnum } : string | Texts

export type SettingLines<Values> = { [Name in keyof Values]-?: Line<Values[Name]> }

/** The builder of an object's fields, of whatever row. */
type Exposing = { expose(name: never, options: never): FieldRef<Types, unknown> }

export function settingFields<Values extends object>(settings: RowSettings<Values>, lines: SettingLines<Values>) {
  const fields = settings.names.map((name) => {
    const { default: fallback } = settings.declared[name]
    const line: Texts & { type?: AnyEnum } = typeof lines[name] === 'string' ? { text: lines[name] } : (lines[name] as Texts)
    return {
      name,
      type: line.type ?? types[settings.typeOf(name)],
      nullable: settings.isNullable(name),
      defaultValue: fallback instanceof Function || fallback === null ? undefined : fallback,
      input: joined(line.text, line.input),
      output: joined(line.text, line.output),
    }
  })
  return {
    /** `initial`: for a creation, with the default values that do not depend on anything. */
    input: (t: InputBuilder, { initial }: { initial: boolean }): InputFieldMap =>
      Object.fromEntries(
        fields.map(({ name, type, defaultValue, input: description }) => [
          name,
          t.field({ type, description, ...(initial && defaultValue !== undefined ? { defaultValue } : {}) } as never),
        ]),
      ),
    output: (t: Exposing) =>
      Object.fromEntries(
        fields.map(({ name, type, nullable, output: description }) => [
          name,
          t.expose(name as never, { type, nullable, description } as never),
        ]),
      ),
  }
}

const joined = (text: string, more: string | undefined) => (more ? `${text} ${more}` : text)

const types: Record<SettingType, string | [string]> = {
  string: 'String',
  integer: 'Int',
  boolean: 'Boolean',
  'string[]': ['String'],
  'integer[]': ['Int'],
  json: 'JSON',
}
