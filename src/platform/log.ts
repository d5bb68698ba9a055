/** The log of the program itself, as JSON lines. The output of deployed apps is handled by domain/deploys/log. */
import { type Logger, pino } from 'pino'

export type { Logger }

export function createLogger(level: string, destination?: { write(line: string): void }): Logger {
  const options = {
    level,
    base: null,
    redact: ['req.headers.authorization', 'req.headers["x-api-key"]', 'req.headers.cookie'],
  }
  return destination ? pino(options, destination) : pino(options)
}
