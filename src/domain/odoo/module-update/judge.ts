/** Judges a run of Odoo that ends by itself, by its exit code and its log. Odoo exits with 0 after many errors. */
import type { LogWriter } from '../../deploys/log/index.ts'

export type Verdict = { isGood: true } | { isGood: false; reason: string; exitCode: number }

export type Judge = {
  /** Receives the output of the run. */
  sink: ReturnType<LogWriter['sink']>
  /** Called after its end. */
  verdict(exitCode: number): Verdict
}

/** `<date> <time>,<ms> <pid> <LEVEL> <database> <logger>: <message>` */
const entry = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \d+ ([A-Z]+) \S+ ([^\s:]+): (.*)$/
/** Last line of a traceback, such as `ValueError: no such field`. */
const exception = /^[A-Za-z_][\w.]*(?:Error|Exception|Warning|Interrupt|Exit|Denied|Violation)\b(?:: .*)?$/
const lineBytes = 4_096
const shownChars = 500

export function createJudge(): Judge {
  const rest = new Map<string, string>()
  let problem: string | null = null
  /** The exception that follows the first problem. */
  let cause: string | null = null
  let isInProblem = false

  const read = (line: string) => {
    const [, level, logger, message] = entry.exec(line) ?? []
    if (level !== undefined) {
      const isProblem = level === 'ERROR' || level === 'CRITICAL'
      isInProblem = isProblem && problem === null
      if (isInProblem) problem = `${logger}: ${message}`
    } else if (isInProblem && exception.test(line)) cause = line
  }

  return {
    sink(stream, bytes) {
      const lines = ((rest.get(stream) ?? '') + Buffer.from(bytes).toString()).split('\n')
      // A very long line is judged by its beginning.
      rest.set(stream, lines.pop()!.slice(0, lineBytes))
      for (const line of lines) read(line.trimEnd())
    },
    verdict(exitCode) {
      for (const line of rest.values()) read(line)
      rest.clear()
      const said = [problem, cause].filter((part) => part !== null).join(' ')
      if (exitCode === 0 && problem === null) return { isGood: true }
      const how = exitCode === 0 ? 'logged an error' : `exited with code ${exitCode}`
      return { isGood: false, exitCode, reason: `Odoo ${how}${said === '' ? '' : `: ${said.slice(0, shownChars)}`}` }
    },
  }
}
