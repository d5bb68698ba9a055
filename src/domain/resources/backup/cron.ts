/** Cron expressions of five fields, in UTC. */
import { Cron } from 'croner'
import { z } from 'zod'

const shortestIntervalMs = 10 * 60_000
/** Runs that are looked at to find the shortest interval. Each takes a quarter of a millisecond. */
const inspectedRuns = 60

const parse = (expression: string) => new Cron(expression, { timezone: 'UTC', mode: '5-part', paused: true })

/** The first run after a time. Null if there is none. */
export const nextRun = (expression: string, after: Date): Date | null => parse(expression).nextRun(after)

export const cronSchema = z
  .string()
  .trim()
  .min(1)
  .max(100)
  .superRefine((expression, context) => {
    const problem = problemOf(expression)
    if (problem) context.addIssue({ code: 'custom', message: problem })
  })

function problemOf(expression: string): string | null {
  let runs: Date[]
  try {
    runs = parse(expression).nextRuns(inspectedRuns)
  } catch {
    return 'must be a cron expression of five fields (minute, hour, day of month, month, day of week), such as 0 3 * * *'
  }
  if (runs.length === 0) return 'must have a next run'
  const isTooFrequent = runs.some((run, index) => index > 0 && run.getTime() - runs[index - 1]!.getTime() < shortestIntervalMs)
  return isTooFrequent ? 'must not run more often than every 10 minutes' : null
}
