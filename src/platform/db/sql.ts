/** Statements as tagged templates: a value becomes a parameter, another statement a part of the text. */
import sqlTag, { join, type Sql } from 'sql-template-tag'

export { empty, join, raw, type Sql } from 'sql-template-tag'
export const sql = sqlTag

/** The condition that at least one of several holds; false for none. */
export const anyOf = (conditions: readonly Sql[]): Sql => (conditions.length > 0 ? join(conditions, ' or ', '(', ')') : sql`false`)
