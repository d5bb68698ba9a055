/** The server `local` of each organization: the machine of the process that runs this. */
import type { Chore } from '../../../platform/claim.ts'
import { assignments, newRow, run, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { onEvent, type Reaction } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import { readMachineFacts } from '../../../platform/machine.ts'
import type { App } from '../../../platform/work.ts'
import { organizationCreated } from '../../access/organization/index.ts'

const seen = async ({ settings }: App) => ({ ...(await readMachineFacts(settings.DATA_DIR)), lastSeenAt: sql`app_now()` })

/** Records the facts of this machine for some local servers. */
export const seeLocal = async (app: App, tx: Tx, which: Sql): Promise<number> =>
  run(tx, sql`update server set ${assignments(await seen(app))} where kind = 'local' and ${which}`)

/** In several processes, the first one that is due does it for all. */
export const seeLocalServers: Chore = {
  name: 'see the local servers',
  topic: null,
  everyMs: 60_000,
  dueInMs: ({ settings }) => settings.SERVER_CHECK_MS,
  async run(app) {
    const sinceMs = app.settings.SERVER_CHECK_MS / 2
    await seeLocal(app, app.db, sql`coalesce(last_seen_at < app_now() - ${sinceMs} * interval '1 millisecond', true)`)
  },
}

/** Creates the server `local` for a new organization. */
const createLocalServer = onEvent(organizationCreated, async (work, { subjectId: organizationId }) => {
  const fields = { id: newId(), organizationId, name: 'local', kind: 'local', status: 'ACTIVE', ...(await seen(work.app)) }
  await run(work.tx, sql`insert into server ${newRow(fields)}`)
})

export const reactions: Reaction[] = [createLocalServer]
