/** Measures an Odoo account, before the transaction that records the result: one test at a time of an account, and within a time limit. */
import type { OdooAccount, SpeedTest } from '../../../generated/prisma/client.ts'
import { ofOrganization, type Request } from '../../../platform/command.ts'
import { rows, run, sql } from '../../../platform/db/index.ts'
import { newId } from '../../../platform/id.ts'
import type { App } from '../../../platform/work.ts'
import { connectionOf, isOdooFailure, type OdooConnection, odooPort } from '../odoo-account/index.ts'

export type Result = Pick<SpeedTest, 'status' | 'latencyMs' | 'details'>

export type Measured =
  | { outcome: 'measured'; account: OdooAccount; result: Result }
  | { outcome: 'busy' }
  /** No account was named, and the organization has none or several. */
  | { outcome: 'unclear' }
  | { outcome: 'missing' }

export type TestInput = { odooAccountId?: string | null | undefined; type: SpeedTest['type'] }

/** Within the time that a request has. */
const share = 0.8
const longestMs = 8_000
/** Far more than 25 orders take. */
const maxAnswerBytes = 1_000_000

export async function measure(request: Request, { odooAccountId, type }: TestInput): Promise<Measured> {
  const { app } = request
  const [account, ...others] = await accountsFor(request, odooAccountId ?? null)
  if (!account || others.length > 0) return { outcome: odooAccountId ? 'missing' : 'unclear' }
  const timeoutMs = Math.min(longestMs, Math.floor(app.settings.REQUEST_TIMEOUT_MS * share))
  const token = await begin(app, account, timeoutMs)
  if (token === null) return { outcome: 'busy' }
  try {
    const connection = await connectionOf(app, app.db, account)
    return { outcome: 'measured', account, result: await timed(() => tests[type](app, connection, { timeoutMs, maxAnswerBytes })) }
  } finally {
    await end(app, account, token)
  }
}

/** The account that is named, otherwise those of the organization, at most two. */
const accountsFor = ({ app, caller }: Request, id: string | null): Promise<OdooAccount[]> =>
  rows<OdooAccount>(
    app.db,
    sql`select t.* from odoo_account t
        where ${ofOrganization(caller, sql`t`)} and (${id}::uuid is null or t.id = ${id}::uuid) order by t.id limit 2`,
  )

/** Each returns what was answered. */
const tests: Record<SpeedTest['type'], (app: App, connection: OdooConnection, limits: Limits) => Promise<string>> = {
  async LIGHT(app, connection, limits) {
    const version = await odooPort.use(app).version(connection, limits)
    return version === null ? 'Odoo did not say its version.' : `Odoo ${version}`
  },
  async HEAVY(app, connection, limits) {
    // Without its key, no earlier login is used.
    const found = await odooPort.use(app).call({ ...connection, key: null }, orders, limits)
    if (!Array.isArray(found)) throw new UnexpectedAnswer()
    return found.length === 1 ? '1 sales order' : `${found.length} sales orders`
  },
}

type Limits = { timeoutMs: number; maxAnswerBytes: number }

class UnexpectedAnswer extends Error {
  override message = 'Odoo did not answer with a list of sales orders.'
}

const orders = {
  model: 'sale.order',
  method: 'search_read',
  args: [[]],
  kwargs: { fields: ['name', 'state', 'date_order', 'partner_id', 'user_id', 'amount_total'], limit: 25 },
  isRead: true,
}

async function timed(test: () => Promise<string>): Promise<Result> {
  const start = performance.now()
  try {
    const details = await test()
    return { status: 'SUCCEEDED', latencyMs: Math.round(performance.now() - start), details }
  } catch (error) {
    if (!isOdooFailure(error) && !(error instanceof UnexpectedAnswer)) throw error
    return { status: 'FAILED', latencyMs: null, details: error.message }
  }
}

/** Returns the token of the run, or null if another one is in progress. */
async function begin(app: App, { id, organizationId }: OdooAccount, timeoutMs: number): Promise<string | null> {
  const token = newId()
  const begun = await run(
    app.db,
    sql`insert into speed_test_run as r (odoo_account_id, organization_id, token, expires_at)
        values (${id}::uuid, ${organizationId}::uuid, ${token}::uuid, app_now() + ${2 * timeoutMs} * interval '1 millisecond')
        on conflict (odoo_account_id) do update set token = excluded.token, expires_at = excluded.expires_at
        where r.expires_at < app_now()`,
  )
  return begun === 1 ? token : null
}

async function end(app: App, { id }: OdooAccount, token: string): Promise<void> {
  await run(app.db, sql`delete from speed_test_run where odoo_account_id = ${id}::uuid and token = ${token}::uuid`)
}
