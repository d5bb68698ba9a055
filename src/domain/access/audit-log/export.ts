/**
 * Export of the audit log by a link that is valid for a few minutes, so that a browser or a script without a key can download it. The link
 * contains the request and a keyed MAC of it. It stops working when the key or membership of whoever asked for it does.
 */
import { timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import type { ApiKeyScope } from '../../../generated/prisma/client.ts'
import { type Caller, keyPermissions } from '../../../platform/access.ts'
import { defineCommand, demandOrganization } from '../../../platform/command.ts'
import { row, sql, type Tx } from '../../../platform/db/index.ts'
import { sequenceAll } from '../../../platform/sequencer.ts'
import type { App } from '../../../platform/work.ts'
import { type Membership, membershipColumns, memberships, rightsOf } from '../member/index.ts'
import { chainOf } from './chain.ts'
import { csvHeader, csvLine } from './csv.ts'
import { exported, type ShownEntry } from './model.ts'
import { auditEntryListing, auditFilter } from './queries.ts'

const exportFormats = ['NDJSON', 'CSV'] as const
export type ExportFormat = (typeof exportFormats)[number]

/** Path of the links, below the address of the API. */
export const exportPath = '/audit-log/export'
const validForMs = 5 * 60_000
const batch = 500

const linkSchema = z.object({
  organizationId: z.uuid(),
  userId: z.uuid(),
  apiKeyId: z.uuid().nullable(),
  format: z.enum(exportFormats),
  filter: z.object({ ...auditFilter, since: z.coerce.date().nullish(), until: z.coerce.date().nullish() }),
  expiresAt: z.coerce.date(),
})
type Link = z.infer<typeof linkSchema>

export const exportAuditLog = defineCommand({
  name: 'exportAuditLog',
  description:
    'Returns a link that downloads the audit log, oldest entries first, as NDJSON (a JSON object per line) or CSV. The link needs no other credential, is valid for 5 minutes, and stops working when the API key that created it does. In CSV, text that a spreadsheet could take for a formula begins with an apostrophe.',
  permission: 'view:audit_logs',
  ids: {},
  targetType: null,
  input: z.object({ format: z.enum(exportFormats), ...auditFilter }),
  emits: [],
  once: ['url'],
  async run({ app, tx, caller }, { format, ...filter }) {
    demandOrganization(caller, 'read the audit log')
    const { organizationId, userId, apiKeyId } = caller
    const expiresAt = new Date(app.clock.now().getTime() + validForMs)
    const payload = Buffer.from(JSON.stringify({ organizationId, userId, apiKeyId, format, filter, expiresAt })).toString('base64url')
    const url = `${app.settings.PUBLIC_URL ?? ''}${exportPath}?token=${payload}.${await macOf(app, tx, organizationId, payload)}`
    return { url: url as string | null, expiresAt }
  },
  audited: ({ format, ...filter }) => ({ format, filter }),
})

/** Values of variables have fingerprints by the same key, which users can see. They can't contain a NUL character. */
const macOf = (app: App, tx: Tx, organizationId: string, payload: string): Promise<string> =>
  app.keyring.fingerprint(tx, organizationId, `\0audit log export\0${payload}`)

export type Export = { format: ExportFormat; lines: AsyncGenerator<string, void, void> }

/** The export that a link's token asks for. Null if the token is malformed, forged or expired, or its author may no longer read the log. */
export async function openExport(app: App, token: unknown): Promise<Export | null> {
  const link = typeof token === 'string' ? await readLink(app, token) : null
  const caller = link && (await authorOf(app, link))
  if (!link || !caller) return null
  await sequenceAll(app)
  return { format: link.format, lines: exportLines(app, caller, link) }
}

async function readLink(app: App, token: string): Promise<Link | null> {
  const [payload = '', mac = ''] = token.split('.')
  const parsed = linkSchema.safeParse(parseJson(Buffer.from(payload, 'base64url').toString('utf8')))
  if (!parsed.success) return null
  const link = parsed.data
  // Before the MAC, which would create the key of an organization that does not exist.
  if (!(await row(app.db, sql`select 1 as one from organization where id = ${link.organizationId}::uuid`))) return null
  const [given, wanted] = [Buffer.from(mac), Buffer.from(await macOf(app, app.db, link.organizationId, payload))]
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return null
  return link.expiresAt > app.clock.now() ? link : null
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

async function authorOf(app: App, { organizationId, userId, apiKeyId }: Link): Promise<Caller | null> {
  const found = await row<Membership & { scope: ApiKeyScope | null }>(
    app.db,
    sql`select ${membershipColumns}, k.scope from ${memberships}
        left join api_key k on k.id = ${apiKeyId}::uuid and k.revoked_at is null and (k.expires_at is null or k.expires_at > app_now())
        where m.organization_id = ${organizationId}::uuid and m.user_id = ${userId}::uuid`,
  )
  if (!found || (apiKeyId !== null && found.scope === null)) return null
  const rights = rightsOf(found)
  const permissions = found.scope === null ? rights.permissions : keyPermissions(found.scope, rights.permissions)
  if (!permissions.has('view:audit_logs') || rights.projectIds !== null) return null
  return {
    subject: { type: 'user', id: userId, name: '' },
    userId,
    organizationId,
    permissions,
    apiKeyId,
    sessionId: null,
    projectIds: null,
  }
}

/** Chunks of lines. Each batch is a statement of its own, read when the former one has been sent, so a slow client costs nothing. */
async function* exportLines(app: App, caller: Caller, { format, filter }: Link): AsyncGenerator<string, void, void> {
  const { position: end } = await chainOf(app.db, caller.organizationId)
  if (format === 'CSV') yield csvHeader
  const lineOf = format === 'CSV' ? csvLine : (entry: ReturnType<typeof exported>) => `${JSON.stringify(entry)}\n`
  let last = 0n
  for (;;) {
    const found = (await auditEntryListing.read(
      { tx: app.db, caller },
      sql`${auditEntryListing.scope(caller, filter)} and t.position > ${last} and t.position <= ${end} order by t.position limit ${batch}`,
    )) as ShownEntry[]
    if (found.length > 0) yield found.map((entry) => lineOf(exported(entry))).join('')
    if (found.length < batch) return
    last = found.at(-1)!.position!
  }
}
