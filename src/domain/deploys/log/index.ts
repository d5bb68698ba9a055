/** Output of deployments and running services: consecutively numbered lines, stored and read by cursor. */
import { defineConcept } from '../../../platform/concept.ts'
import { expireLogs } from './jobs.ts'

export { followLog } from './follow.ts'
export { type LineSource, splitCompleteLines } from './line-splitter.ts'
export { type LineRun, type LogBatch, type LogLine, logLimits, type NewLine, runOf } from './model.ts'
export { type LogMode, type LogStart, logInput, readLog } from './queries.ts'
export { readLogs } from './read-many.ts'
export { countingRedactor, createRedactor, type Hits, type Redact, redacted, type SecretValue } from './redactor.ts'
export { appendAtOnce, appendLines, completeLog, ensureDeploymentLog, ensureLogs, ensureServiceLog } from './store.ts'
export { tailsByDeployment } from './tail.ts'
export { type LogWriter, openLogWriter } from './writer.ts'

export const log = defineConcept({
  name: 'log',
  chores: [expireLogs],
})
