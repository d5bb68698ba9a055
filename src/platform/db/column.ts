/** Names of columns as Prisma spells them in its rows, and fields of a row as parts of a statement. */
import { join, raw, type Sql, sql } from './sql.ts'

const known = new Map<string, string>()

/** `repository_url` is read as `repositoryUrl`. */
export function fieldOf(column: string): string {
  let field = known.get(column)
  if (field === undefined) {
    field = column.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
    known.set(column, field)
  }
  return field
}

/** `repositoryUrl` is stored in `repository_url`. */
export const columnOf = (field: string): string => field.replace(/(?<=.)[A-Z]/g, '_$&').toLowerCase()

/**
 * What an `update` sets: `name = $1, repository_url = $2`. Undefined fields are left out. Field names become part of the statement, so they
 * must not come from a caller. JSON columns take JSON as text.
 */
export const assignments = (fields: object): Sql => join(given(fields).map(([field, value]) => sql`${raw(columnOf(field))} = ${value}`))

/** What an `insert` adds: `(name, repository_url) values ($1, $2)`. See `assignments`. */
export const newRow = (fields: object): Sql => {
  const entries = given(fields)
  return sql`(${raw(entries.map(([field]) => columnOf(field)).join(', '))}) values (${join(entries.map(([, value]) => value))})`
}

const given = (fields: object) => Object.entries(fields).filter(([, value]) => value !== undefined)
