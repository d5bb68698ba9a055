/** Audit entries as CSV (RFC 4180). */
import type { Exported } from './model.ts'

const columns = [
  'id',
  'position',
  'timestamp',
  'action',
  'outcome',
  'actorType',
  'actorId',
  'actorName',
  'userId',
  'targetType',
  'targetId',
  'targetName',
  'ipAddress',
  'userAgent',
  'door',
  'requestId',
  'before',
  'after',
  'details',
  'hash',
  'previousHash',
] as const satisfies readonly (keyof Exported)[]

export const csvHeader = `${columns.join(',')}\r\n`

export const csvLine = (entry: Exported): string => `${columns.map((column) => cell(entry[column])).join(',')}\r\n`

function cell(value: unknown): string {
  if (value === null || value === undefined) return ''
  const text = typeof value === 'string' ? harmless(value) : JSON.stringify(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** Spreadsheets run a cell that begins with one of these characters as a formula. */
const harmless = (text: string): string => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text)
