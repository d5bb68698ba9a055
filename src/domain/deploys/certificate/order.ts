/**
 * Orders a certificate. The key and the order are stored before they are used, so that after a crash the same order is continued: no key is
 * lost, and the authority is not asked for a second certificate.
 */
import type { End } from '../../../platform/claim.ts'
import { outageOf, row, sql } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { accountKey, newPrivateKey } from './account.ts'
import { certificateEvents } from './events.ts'
import { type CertificateItem, orderKeyIdentity, privateKeyIdentity, renewalAt } from './model.ts'
import { certificateAuthority, type IssueResult } from './ports.ts'
import { endLease, LostLease, noOrder, noteFailure, record, settle } from './settle.ts'
import { checkChain } from './x509.ts'

export async function orderCertificate(app: App, item: CertificateItem, domain: string, signal: AbortSignal): Promise<End> {
  let privateKey: string
  let result: IssueResult
  try {
    privateKey = await orderKey(app, item)
    result = await certificateAuthority.use(app).issue(
      {
        ...{ domain, privateKey, accountKey: await accountKey(app), orderUrl: item.orderUrl, timeoutMs: app.settings.ACME_TIMEOUT_MS },
        onOrder: (orderUrl) => record(app, item, { orderUrl, challengeToken: null, challengeAnswer: null }),
        onChallenge: ({ token, answer }) => record(app, item, { challengeToken: token, challengeAnswer: answer }),
      },
      signal,
    )
  } catch (error) {
    if (error instanceof LostLease) return 'done'
    if (signal.aborted) {
      await endLease(app, item)
      return 'pending'
    }
    if (outageOf(error) === 'database') throw error
    app.log.error({ err: error, domain }, 'a certificate could not be ordered')
    result = {
      type: 'failed',
      failure: 'protocol',
      message: 'The certificate could not be ordered. The log of Quayside has the reason.',
      retryAfterMs: null,
    }
    privateKey = ''
  }
  if (result.type === 'issued') result = await store(app, item, domain, { chain: result.chain, privateKey })
  if (result.type === 'failed') await noteFailure(app, item, result)
  return 'done'
}

/** The key for the next certificate: that of an order in progress, or else a new one. */
async function orderKey(app: App, item: CertificateItem): Promise<string> {
  const { id, organizationId } = item
  const identity = orderKeyIdentity(id)
  if (item.orderKey !== null) return app.keyring.open(app.db, organizationId, identity, item.orderKey)
  const privateKey = await newPrivateKey()
  await record(app, item, { orderKey: await app.keyring.seal(app.db, organizationId, identity, privateKey), orderUrl: null })
  return privateKey
}

/** Stores an issued certificate, unless it cannot be served. */
async function store(
  app: App,
  item: CertificateItem,
  domain: string,
  { chain: certificatePem, privateKey }: { chain: string; privateKey: string },
): Promise<IssueResult> {
  const { id, organizationId } = item
  const { now } = (await row<{ now: Date }>(app.db, sql`select app_now() as now`))!
  const checked = checkChain({ certificatePem, privateKeyPem: privateKey, domain, now })
  if ('problem' in checked) {
    const message = `The certificate authority issued a certificate that cannot be used: it ${checked.problem.text}.`
    return { type: 'failed', failure: 'protocol', message, retryAfterMs: null }
  }
  const { chain, facts } = checked
  await settle(
    app,
    item,
    {
      ...{ chain, ...facts, status: 'ACTIVE', attempts: 0, error: null, blockedUntil: null, ...noOrder },
      privateKey: await app.keyring.seal(app.db, organizationId, privateKeyIdentity(id), privateKey),
      generation: sql`generation + 1`,
      lastAttemptAt: sql`app_now()`,
      nextAttemptAt: renewalAt(now, facts),
    },
    item.expiresAt === null ? certificateEvents.issued : certificateEvents.renewed,
  )
  return { type: 'issued', chain }
}
