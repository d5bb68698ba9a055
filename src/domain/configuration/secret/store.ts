/** Rows of secrets and their versions, written many at a time in a fixed number of statements. The project is locked by the caller. */
import type { Project, Secret } from '../../../generated/prisma/client.ts'
import { rows, run, sql } from '../../../platform/db/index.ts'
import { publishAll } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { sealValues } from '../variable/index.ts'
import { eventOf, secretCreated, secretUpdated } from './events.ts'
import { type Entry, scopeOf, versionIdentity } from './model.ts'
import { currentFacts } from './queries.ts'

/** Adds secrets that are new to the project. Returns them in order. */
export async function insertSecrets(work: Work, project: Project, entries: readonly Entry[]): Promise<Secret[]> {
  if (entries.length === 0) return []
  const ids = entries.map(() => newId())
  const found = await rows<Secret>(
    work.tx,
    sql`insert into secret (id, organization_id, project_id, key, scope, is_secret, current_version)
        select n.id, ${project.organizationId}::uuid, ${project.id}::uuid, n.key, n.scope, n.is_secret, 1
        from unnest(${ids}::uuid[], ${entries.map(({ key }) => key)}::text[], ${entries.map(scopeOf)}::environment_type[],
          ${entries.map(({ isSecret }) => isSecret ?? true)}::bool[]) as n(id, key, scope, is_secret) returning *`,
  )
  const byId = new Map(found.map((secret) => [secret.id, secret]))
  const secrets = ids.map((id) => byId.get(id)!)
  await insertVersions(
    work,
    secrets.map((secret, index) => ({ secret, value: entries[index]!.value })),
  )
  await publishAll(
    work,
    secretCreated,
    secrets.map((secret) => eventOf(secret, {})),
  )
  return secrets
}

/** Stores values as the current versions of their secrets; all belong to one organization. */
async function insertVersions(work: Work, written: readonly { secret: Secret; value: string }[]): Promise<void> {
  if (written.length === 0) return
  const { organizationId } = written[0]!.secret
  const ids = written.map(() => newId())
  const stored = await sealValues(
    work,
    organizationId,
    written.map(({ value }, index) => ({ identity: versionIdentity(ids[index]!), plain: value })),
  )
  await run(
    work.tx,
    sql`insert into secret_version (id, organization_id, secret_id, version, value, fingerprint, is_short, created_by)
        select n.id, ${organizationId}::uuid, n.secret_id, n.version, decode(n.sealed, 'base64'), n.fingerprint, n.is_short, ${work.caller.subject.name}
        from unnest(${ids}::uuid[], ${written.map(({ secret }) => secret.id)}::uuid[], ${written.map(({ secret }) => secret.currentVersion)}::int[],
          ${stored.map(({ sealed }) => sealed)}::text[], ${stored.map(({ fingerprint }) => fingerprint)}::text[],
          ${stored.map(({ isShort }) => isShort)}::bool[]) as n(id, secret_id, version, sealed, fingerprint, is_short)`,
  )
}

/** What a write asks of an existing secret. An omitted field keeps its value. */
export type SecretChange = { known: Secret; value?: string | undefined; isSecret?: boolean | null | undefined }

/**
 * Updates the secrets that a change alters; all belong to one organization. A value that equals the current one creates no version,
 * unless the current one is revoked. Returns the updated secrets by id.
 */
export async function updateSecrets(work: Work, asked: readonly SecretChange[]): Promise<Map<string, Secret>> {
  if (asked.length === 0) return new Map()
  const changes = await alteringOnes(work, asked)
  if (changes.length === 0) return new Map()
  const found = await rows<Secret>(
    work.tx,
    sql`update secret s set current_version = s.current_version + n.step, is_secret = n.is_secret, version = s.version + 1
        from unnest(${changes.map(({ known }) => known.id)}::uuid[], ${changes.map(({ value }) => (value === undefined ? 0 : 1))}::int[],
          ${changes.map(({ isSecret }) => isSecret)}::bool[]) as n(id, step, is_secret)
        where s.id = n.id returning s.*`,
  )
  const updated = new Map(found.map((secret) => [secret.id, secret]))
  await insertVersions(
    work,
    changes.flatMap(({ known, value }) => (value === undefined ? [] : [{ secret: updated.get(known.id)!, value }])),
  )
  await publishAll(
    work,
    secretUpdated,
    changes.map(({ known }) => eventOf(updated.get(known.id)!, { revokedVersion: null })),
  )
  return updated
}

/** The changes that alter something, complete. `value` stays undefined where no version is to be created. */
async function alteringOnes({ app, tx }: Work, asked: readonly SecretChange[]) {
  const current = await currentFacts(
    tx,
    asked.map(({ known }) => known.id),
  )
  const fingerprints = await app.keyring.fingerprintAll(
    tx,
    asked[0]!.known.organizationId,
    asked.map(({ value }) => value ?? ''),
  )
  return asked
    .map(({ known, value, isSecret }, index) => {
      const { isRevoked, fingerprint } = current.get(known.id)!
      const isCurrent = fingerprints[index] === fingerprint && !isRevoked
      return { known, value: isCurrent ? undefined : value, isSecret: isSecret ?? known.isSecret }
    })
    .filter(({ known, value, isSecret }) => value !== undefined || isSecret !== known.isSecret)
}
