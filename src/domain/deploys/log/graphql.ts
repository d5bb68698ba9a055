/**
 * GraphQL types of logs: batches, lines and gaps. The fields and subscriptions that return a `LogBatch`, and their permissions, are
 * defined by deployments and services.
 */
import { builder, enumType, type GraphqlContext } from '../../../graphql/builder/index.ts'
import { demand, parseInput } from '../../../platform/command.ts'
import { encodeId } from '../../../platform/id.ts'
import type { LogBatch, LogGap, LogLine } from './model.ts'
import { type LogStart, logInput } from './queries.ts'
import { readLogs } from './read-many.ts'
import { ensureLogs, type LogPlace } from './store.ts'

export const LogStreamEnum = enumType('LogStream', 'Source of a log line.', {
  STDOUT: 'Standard output of a build, release command or instance.',
  STDERR: 'Standard error of a build, release command or instance.',
  SYSTEM: 'Message from Quayside.',
})

export const LogLevelEnum = enumType('LogLevel', 'Severity of a log line.', {
  DEBUG: 'Debugging information.',
  INFO: 'Normal operation.',
  WARN: 'A potential problem.',
  ERROR: 'A failure.',
})

export const LogGapReasonEnum = enumType('LogGapReason', 'Reason that log lines are missing.', {
  BYTE_CAP: 'The log exceeded its size limit. Its beginning and end are kept.',
  RETENTION: 'The lines exceeded the retention period.',
})

export const LogLineType = builder.objectRef<LogLine>('LogLine').implement({
  description: 'A line of a log.',
  fields: (t) => ({
    seq: t.exposeInt('seq', { description: 'Number of the line, starting at 1 for each log. Numbers are consecutive.' }),
    timestamp: t.field({ type: 'DateTime', description: 'Time when the line was received.', resolve: (line) => line.at }),
    stream: t.field({ type: LogStreamEnum, description: 'Source of the line.', resolve: (line) => streamNames[line.stream] }),
    level: t.field({
      type: LogLevelEnum,
      nullable: true,
      description: 'Severity of the line. Null when it is not known, as for the output of programs.',
      resolve: (line) => line.level,
    }),
    instanceId: t.string({
      nullable: true,
      description: 'ID of the instance that wrote the line. Null for build output and for messages from Quayside.',
      resolve: (line) => line.instanceId && encodeId('Instance', line.instanceId),
    }),
    message: t.exposeString('message', {
      description: 'Text of the line, without its line break. Secret values are replaced by `[redacted]`.',
    }),
    truncated: t.exposeBoolean('truncated', { description: 'Whether the line was longer than 16 KiB and has been truncated.' }),
  }),
})

const streamNames = { stdout: 'STDOUT', stderr: 'STDERR', system: 'SYSTEM' } as const

export const LogGapType = builder.objectRef<LogGap>('LogGap').implement({
  description: 'A range of missing log lines.',
  fields: (t) => ({
    fromSeq: t.exposeInt('fromSeq', { description: 'Number of the first missing line.' }),
    toSeq: t.exposeInt('toSeq', { description: 'Number of the last missing line.' }),
    lines: t.exposeInt('lines', { description: 'Number of missing lines.' }),
    bytes: t.exposeFloat('bytes', { description: 'Total size of the missing lines, in bytes.' }),
    reason: t.field({
      type: LogGapReasonEnum,
      description: 'Reason that the lines are missing. If there are several reasons, that of the last missing line.',
      resolve: (gap) => gap.reason,
    }),
  }),
})

export const LogBatchType = builder.objectRef<LogBatch>('LogBatch').implement({
  description: 'A batch of consecutive log lines.',
  fields: (t) => ({
    lines: t.field({ type: [LogLineType], description: 'Lines of the batch, oldest first.', resolve: (batch) => batch.lines }),
    cursor: t.exposeString('cursor', {
      description: 'Cursor of the end of the batch. Pass it as `after` to continue with the next line, without loss or duplicates.',
    }),
    gap: t.field({
      type: LogGapType,
      nullable: true,
      description: 'Missing lines in the range of this batch. Each gap is reported once. Null if no lines are missing.',
      resolve: (batch) => batch.gap,
    }),
    complete: t.exposeBoolean('complete', {
      description: 'Whether the log has ended and its last line is in this batch or an earlier one.',
    }),
    hasMore: t.exposeBoolean('hasMore', {
      description:
        'Whether requested lines are missing from this batch because of its size limit of about 1 MiB, or of the limit of 2 MiB for all logs of the operation. Without `tail`, the missing lines follow `cursor`. With `tail`, the batch contains the newest lines, and the missing lines precede them.',
    }),
  }),
})

const defaultLines = 1_000
const linesOfPoint = 8
const pointsOfLog = 20

/** Field extensions for a field that returns a batch. Its cost grows with the number of lines that it can return. */
export const logCost = {
  cost: (argument: (name: string) => unknown): number => {
    const lines = Number(argument('tail') ?? defaultLines)
    return pointsOfLog + (lines > 0 ? Math.ceil(lines / linesOfPoint) : 0)
  },
}

/** Reads a batch of a log that the caller may see. All batches that an operation selects at the same time are read together. */
export async function loadLog(context: GraphqlContext, place: LogPlace, start: LogStart): Promise<LogBatch> {
  demand(context.caller, 'view:deployments')
  const request = { place, start: parseInput(logInput, start) }
  const { room, pace } = context
  return context.load('logs', request, async (requests: readonly (typeof request)[]) => {
    const tx = context.app.db
    const logIds = await ensureLogs(
      tx,
      requests.map((item) => item.place),
    )
    const batches = await readLogs(
      tx,
      requests.map((item, index) => ({ logId: logIds[index]!, start: item.start })),
      { room, pace },
    )
    // An error fails only the field of its own log.
    return batches as LogBatch[]
  })
}
