/**
 * The log's types: batches, lines and holes. Which thing has a log, and who may read it, is said where that thing is (deployment,
 * service): their fields and subscriptions give a `LogBatch`.
 */
import { builder, enumType } from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import type { LogBatch, LogGap, LogLine } from './index.ts'

export const LogStreamEnum = enumType('LogStream', 'Where a line came from.', {
  STDOUT: 'Standard output of a program.',
  STDERR: 'Standard error of a program.',
  SYSTEM: 'Quayside itself, about what it does.',
})

export const LogLevelEnum = enumType('LogLevel', 'How much a line matters, where that is known.', {
  DEBUG: 'For finding faults.',
  INFO: 'The normal course of things.',
  WARN: 'Something to look at.',
  ERROR: 'Something failed.',
})

export const LogGapReasonEnum = enumType('LogGapReason', 'Why lines are missing.', {
  BYTE_CAP: 'The log was over its size limit: its beginning and its end were kept.',
  RETENTION: 'The lines were older than what is kept.',
})

export const LogLineType = builder.objectRef<LogLine>('LogLine').implement({
  description: 'One line.',
  fields: (t) => ({
    seq: t.exposeInt('seq', { description: "Number of the line; counts the log's lines from 1 without a gap." }),
    timestamp: t.field({ type: 'DateTime', description: 'When it was taken in.', resolve: (line) => line.at }),
    stream: t.field({ type: LogStreamEnum, description: 'Where it came from.', resolve: (line) => streamNames[line.stream] }),
    level: t.field({
      type: LogLevelEnum,
      nullable: true,
      description: 'How much it matters; null when unknown.',
      resolve: (line) => line.level,
    }),
    instanceId: t.string({
      nullable: true,
      description: 'TypeID of the instance that printed it; null in a build, and for what Quayside says.',
      resolve: (line) => line.instanceId && encodeId('Instance', line.instanceId),
    }),
    message: t.exposeString('message', { description: 'The text without its line end; secrets are replaced by [redacted].' }),
    truncated: t.exposeBoolean('truncated', { description: 'Whether the line was longer than 16 KiB, and its end was cut off.' }),
  }),
})

const streamNames = { stdout: 'STDOUT', stderr: 'STDERR', system: 'SYSTEM' } as const

export const LogGapType = builder.objectRef<LogGap>('LogGap').implement({
  description: 'Lines that were removed.',
  fields: (t) => ({
    fromSeq: t.exposeInt('fromSeq', { description: 'Number of the first missing line.' }),
    toSeq: t.exposeInt('toSeq', { description: 'Number of the last missing line.' }),
    lines: t.exposeInt('lines', { description: 'How many lines are missing.' }),
    bytes: t.exposeFloat('bytes', { description: 'How many bytes their messages had.' }),
    reason: t.field({
      type: LogGapReasonEnum,
      description: 'Why; where both took a part, why the last line is missing.',
      resolve: (gap) => gap.reason,
    }),
  }),
})

export const LogBatchType = builder.objectRef<LogBatch>('LogBatch').implement({
  description: 'Lines of a log, in order.',
  fields: (t) => ({
    lines: t.field({ type: [LogLineType], description: 'The lines, oldest first.', resolve: (batch) => batch.lines }),
    cursor: t.exposeString('cursor', { description: 'Give it as `after` to go on behind this batch: every line comes exactly once.' }),
    gap: t.field({
      type: LogGapType,
      nullable: true,
      description: 'Lines that belong here and were removed; told once, in the batch that goes over them.',
      resolve: (batch) => batch.gap,
    }),
    complete: t.exposeBoolean('complete', { description: 'Whether the log has ended and its last line is in this or an earlier batch.' }),
  }),
})
