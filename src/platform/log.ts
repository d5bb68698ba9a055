/** The program's own log: JSON lines by pino. What a deployed app prints is no business of this room (domain/deploys/log). */
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
