import type { Secret } from '../../../generated/prisma/client.ts'
import { rows, run, sql } from '../../../platform/db/index.ts'
import { publishAll } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { secretErrors } from './errors.ts'
import { eventOf, secretDeleted } from './events.ts'
import { type BoundService, boundServices, nameOfSecret } from './model.ts'

/** Deletes secrets with all their versions. Throws `secret_bound`, at `field`, for the first one that is bound to a service. */
export async function removeUnboundSecrets(work: Work, secrets: readonly Secret[], field: string): Promise<void> {
  if (secrets.length === 0) return
  const bound = await servicesBoundTo(
    work,
    secrets.map(({ id }) => id),
  )
  for (const secret of secrets) {
    const services = bound.get(secret.id)
    if (!services) continue
    throw secretErrors.secret_bound({
      field,
      text: `${nameOfSecret(secret)} is bound to ${services.map(({ name }) => name).join(', ')}. Unbind it first, or set force to true.`,
      details: { services: services.map(({ id, name }) => ({ id: encodeId('WebService', id), name })) },
    })
  }
  await removeSecrets(work, secrets)
}

/** Services by the secret that they are bound to. */
async function servicesBoundTo({ app, tx }: Work, secretIds: readonly string[]): Promise<ReadonlyMap<string, readonly BoundService[]>> {
  const found = await Promise.all(boundServices.of(app).map((read) => read(tx, secretIds)))
  return Map.groupBy(found.flat(), ({ secretId }) => secretId)
}

/** Deletes secrets with all their versions. A reaction to the event deletes their bindings before the secrets themselves. */
export async function removeSecrets(work: Work, secrets: readonly Secret[]): Promise<void> {
  if (secrets.length === 0) return
  await publishAll(
    work,
    secretDeleted,
    secrets.map((secret) => eventOf(secret, {})),
  )
  await run(work.tx, sql`delete from secret where id = any(${secrets.map(({ id }) => id)}::uuid[])`)
}

export async function removeSecretsOfProject(work: Work, projectId: string): Promise<void> {
  await removeSecrets(
    work,
    await rows<Secret>(work.tx, sql`select * from secret where project_id = ${projectId}::uuid order by id for update`),
  )
}
