/** Keys of email services: what they may do, and how they are created, found and revoked. */
import { z } from 'zod'
import type { EmailApiKey, EmailService } from '../../../generated/prisma/client.ts'
import type { Caller } from '../../../platform/access.ts'
import { defineCommand, ofOrganization } from '../../../platform/command.ts'
import type { Authenticated } from '../../../platform/credential.ts'
import { type Credential, cacheCredentials } from '../../../platform/credential-cache.ts'
import { newRow, row, run, sql } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import { nameSchema } from '../../../platform/name.ts'
import { perApp } from '../../../platform/per-app.ts'
import { failedAuthentication } from '../../../platform/rate-limit/index.ts'
import type { App, Work } from '../../../platform/work.ts'
import { hashKey } from '../../access/api-key/index.ts'
import { isLive } from '../../access/organization/index.ts'
import { emailErrors } from './errors.ts'
import { emailApiKeyEvents, keyEventOf } from './events.ts'
import { isKey, keyIdentity, keyPrefix, lockEmailService, maxKeys, newKey } from './model.ts'
import { shownKey } from './queries.ts'

type NewKey = { emailServiceId: string; name: string; resourceBindingId: string | null }

/** Adds a key of a locked service. That of a connection is also stored sealed, because its web service receives it. */
export async function addKey(work: Work, { emailServiceId, name, resourceBindingId }: NewKey) {
  const { organizationId, subject } = work.caller
  const { keyring } = work.app
  const id = newId()
  const plaintextKey = newKey()
  const stored = resourceBindingId
    ? {
        sealed: await keyring.seal(work.tx, organizationId, keyIdentity(id), plaintextKey),
        fingerprint: await keyring.fingerprint(work.tx, organizationId, plaintextKey),
      }
    : {}
  const fields = {
    ...{ id, organizationId, emailServiceId, name, resourceBindingId, createdBy: subject.name },
    ...{ prefix: plaintextKey.slice(0, keyPrefix.length + 4), hash: hashKey(plaintextKey), ...stored },
  }
  const emailApiKey = (await row<EmailApiKey>(work.tx, sql`insert into email_api_key ${newRow(fields)} returning *`))!
  return { emailApiKey, plaintextKey }
}

export const createEmailApiKey = defineCommand({
  name: 'createEmailApiKey',
  description: `Creates an API key that can only send mail with its email service, by the REST API. The plaintext key is returned only once, at creation. A service can have at most ${maxKeys} keys. Keys that were revoked more than 30 days ago are removed.`,
  permission: 'manage:email',
  ids: { emailServiceId: 'EmailService' },
  targetType: 'EmailService',
  creates: 'EmailApiKey',
  target: (work, { emailServiceId }) => lockEmailService(work, emailServiceId!),
  input: z.object({ name: nameSchema }),
  emits: [emailApiKeyEvents.created],
  once: ['plaintextKey'],
  async run(work, { name }, { id: emailServiceId }: EmailService) {
    await run(
      work.tx,
      sql`delete from email_api_key where email_service_id = ${emailServiceId}::uuid and revoked_at < app_now() - interval '30 days'`,
    )
    await demandRoom(work, emailServiceId)
    const { emailApiKey, plaintextKey } = await addKey(work, { emailServiceId, name, resourceBindingId: null })
    await publish(work, emailApiKeyEvents.created, keyEventOf(emailApiKey))
    return { emailApiKey: shownKey(emailApiKey), plaintextKey: plaintextKey as string | null }
  },
})

async function demandRoom(work: Work, emailServiceId: string): Promise<void> {
  const { n } = (await row<{ n: number }>(
    work.tx,
    sql`select count(*)::int as n from email_api_key where email_service_id = ${emailServiceId}::uuid and revoked_at is null
        and resource_binding_id is null`,
  ))!
  if (n >= maxKeys) throw emailErrors.email_limit({ text: `An email service can have at most ${maxKeys} API keys. Revoke one first.` })
}

export const revokeEmailApiKey = defineCommand({
  name: 'revokeEmailApiKey',
  description:
    'Revokes an API key of an email service permanently. The key stops working immediately, and stays listed with `revokedAt` for 30 days. Revoking a revoked key returns it unchanged. The key of a connection is revoked by `disconnectResource`.',
  permission: 'delete:email',
  ids: { id: 'EmailApiKey' },
  targetType: 'EmailApiKey',
  target: (work, { id }) =>
    row<EmailApiKey>(
      work.tx,
      sql`select t.* from email_api_key t where t.id = ${id}::uuid and t.resource_binding_id is null and ${ofOrganization(work.caller, sql`t`)} for update`,
    ),
  input: z.object({}),
  emits: [emailApiKeyEvents.revoked],
  async run(work, _input, target: EmailApiKey) {
    if (target.revokedAt !== null) return { emailApiKey: shownKey(target) }
    const revoked = await row<EmailApiKey>(
      work.tx,
      sql`update email_api_key set revoked_at = app_now(), version = version + 1 where id = ${target.id}::uuid returning *`,
    )
    await publish(work, emailApiKeyEvents.revoked, keyEventOf(target))
    work.wake('credentials')
    return { emailApiKey: shownKey(revoked!) }
  },
})

/** The caller behind a key; null if it is malformed, unknown or revoked. It may send with the key's service, and do nothing else. */
export const callerOfEmailKey = (app: App, text: string): Authenticated => (isKey(text) ? knownKeys(app)(text) : null)

const knownKeys = perApp((app) => cacheCredentials(app, (text) => findKey(app, text), failedAuthentication(app)))

async function findKey(app: App, text: string): Promise<Credential<Caller> | null> {
  const key = await row<Pick<EmailApiKey, 'id' | 'organizationId' | 'name'> & { stale: boolean }>(
    app.db,
    sql`select id, organization_id, name, coalesce(last_used_at < app_now() - interval '1 minute', true) as stale
        from email_api_key where hash = ${hashKey(text)} and revoked_at is null and ${isLive(sql`organization_id`)}`,
  )
  if (!key) return null
  if (key.stale) await run(app.db, sql`update email_api_key set last_used_at = app_now() where id = ${key.id}::uuid`)
  const holder: Caller = {
    subject: { type: 'email_api_key', id: key.id, name: key.name },
    userId: null,
    organizationId: key.organizationId,
    permissions: new Set(['send:email'] as const),
    apiKeyId: null,
    sessionId: null,
    projectIds: null,
  }
  return { holder, expiresInMs: null }
}
