import { databaseEngine } from '../../src/domain/resources/database/index.ts'
import type { DatabaseEngine } from '../../src/domain/resources/database/ports.ts'
import type { App } from '../../src/platform/work.ts'

/** Provides what the creation of a database needs, for tests in which no database is started. */
export function provideEngine(app: App): void {
  const place: DatabaseEngine['place'] = async (_origin, taken) => {
    const first = Math.max(10_000, ...taken) + 1
    return { host: '127.0.0.1', candidates: Array.from({ length: 50 }, (_, n) => first + n), ownsPort: true, version: '18.4' }
  }
  const usage: DatabaseEngine['usage'] = async () => ({ usage: new Map(), capacity: { millicores: 1_000, memoryBytes: 1 } })
  databaseEngine.provide(app, { place, usage } as Partial<DatabaseEngine> as DatabaseEngine)
}
