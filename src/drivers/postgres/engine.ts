/** Chooses the place of each managed database: a server of its own on this machine, or the server of MANAGED_POSTGRES_URL. */
import type { DatabaseEngine, DatabaseRef } from '../../domain/resources/database/ports.ts'
import type { Secret } from '../../platform/settings.ts'
import { createManagedPostgres, type ManagedPostgresOptions } from './managed.ts'
import { createServerPostgres } from './server.ts'

export type DatabaseEngineOptions = ManagedPostgresOptions & {
  /** Server for new databases. When omitted, each has a server of its own. Existing databases stay where they are. */
  serverUrl: Secret | undefined
}

export function createDatabaseEngine({ serverUrl, ...local }: DatabaseEngineOptions): DatabaseEngine {
  const own = createManagedPostgres(local)
  const shared = createServerPostgres(serverUrl)
  const engineOf = ({ ownsPort }: Pick<DatabaseRef, 'ownsPort'>) => (ownsPort ? own : shared)
  return {
    // Backups are those of whole servers, so that their copies need one too.
    place: (origin, taken) => (serverUrl && origin === 'new' ? shared : own).place(origin, taken),
    async observe(databases) {
      const states = await Promise.all([
        own.observe(databases.filter(({ ownsPort }) => ownsPort)),
        shared.observe(databases.filter(({ ownsPort }) => !ownsPort)),
      ])
      return new Map(states.flatMap((found) => [...found]))
    },
    start: (spec) => engineOf(spec).start(spec),
    apply: (spec) => engineOf(spec).apply(spec),
    stop: (database) => engineOf(database).stop(database),
    remove: (database) => engineOf(database).remove(database),
    measure: (spec) => engineOf(spec).measure(spec),
    query: (spec, text, values) => engineOf(spec).query(spec, text, values),
    takeSnapshot: (spec, snapshotId) => engineOf(spec).takeSnapshot(spec, snapshotId),
    restoreSnapshot: (spec, snapshotId) => engineOf(spec).restoreSnapshot(spec, snapshotId),
    removeSnapshot: (spec, snapshotId) => engineOf(spec).removeSnapshot(spec, snapshotId),
    usage: (databases) => own.usage(databases.filter(({ ownsPort }) => ownsPort)),
  }
}
