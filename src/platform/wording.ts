/** Messages for values that a schema refuses, where the schema has no message. They never contain the value. */
import type { z } from 'zod'

const kinds: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  int: 'an integer',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
  date: 'a date and time',
}

const sized: Record<string, string> = { string: ' character', array: ' item' }
const sizeOf = (origin: string, size: number | bigint) =>
  `${size}${sized[origin] ? `${sized[origin]}${Number(size) === 1 ? '' : 's'}` : ''}`

/** Stands for a value that a door requires and a request lacks. Every schema refuses it as missing. */
export const absent: unique symbol = Symbol('absent')

const isAbsent = (value: unknown): boolean => value === undefined || value === absent

/** The message without the field, which callers put before it: `<field>: <message>`. */
export function describeIssue(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      if (isAbsent(issue.input)) return 'is required'
      return issue.input === null ? 'must not be null' : `must be ${kinds[issue.expected] ?? `a ${issue.expected}`}`
    case 'too_small':
      if (issue.origin === 'string' && issue.minimum === 1) return 'must not be empty'
      return `must ${issue.origin === 'array' ? 'have' : 'be'} at least ${sizeOf(issue.origin, issue.minimum)}`
    case 'too_big':
      return `must ${issue.origin === 'array' ? 'have' : 'be'} at most ${sizeOf(issue.origin, issue.maximum)}`
    case 'invalid_value':
      return isAbsent(issue.input) ? 'is required' : `must be one of ${issue.values.map(String).join(', ')}`
    case 'unrecognized_keys':
      return `has unknown fields: ${issue.keys.join(', ')}`
    default:
      return 'has an invalid format'
  }
}

/** The rule that a value breaks, for programs: `required`, `type`, `min_length`. */
export function constraintOf(issue: z.core.$ZodIssue, value: unknown): string {
  const reason = reasonOf(issue, value)
  if (reason !== 'value') return reason === 'missing' ? 'required' : 'type'
  if (issue.code === 'too_small') return `min_${measures[issue.origin] ?? 'value'}`
  if (issue.code === 'too_big') return `max_${measures[issue.origin] ?? 'value'}`
  return issue.code === 'invalid_value' ? 'enum' : issue.code === 'invalid_format' ? 'format' : 'invalid'
}

const measures: Record<string, string> = { string: 'length', array: 'items' }

/** Why a schema refuses a value. */
export type IssueReason = 'missing' | 'type' | 'value'

export function reasonOf(issue: z.core.$ZodIssue, value: unknown): IssueReason {
  if (isAbsent(value)) return 'missing'
  if (issue.code === 'invalid_type') return 'type'
  return issue.code === 'invalid_value' && !issue.values.some((allowed) => typeof allowed === typeof value) ? 'type' : 'value'
}
