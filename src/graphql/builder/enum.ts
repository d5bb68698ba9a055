import { builder } from './builder.ts'

/** An enum whose every value is described. */
export function enumType<const Values extends Record<string, string>>(name: string, description: string, values: Values) {
  return builder.enumType(name, {
    description,
    values: Object.fromEntries(Object.entries(values).map(([value, text]) => [value, { value, description: text }])) as {
      [Value in keyof Values & string]: { value: Value; description: string }
    },
  })
}
