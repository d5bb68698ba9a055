/** The commands that every supervised kind has: start, stop, restart and delete. They set what is desired; the supervisor makes it real. */
import { z } from 'zod'
import type { DesiredState } from '../../../generated/prisma/client.ts'
import type { Permission } from '../../../platform/access.ts'
import { defineCommand, visible } from '../../../platform/command.ts'
import { defineExtensionPoint } from '../../../platform/concept.ts'
import { raw, row, type Sql, sql } from '../../../platform/db/index.ts'
import type { EventDefinition } from '../../../platform/events.ts'
import type { IdType } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { resourceErrors } from './errors.ts'
import { type SupervisedRow, statusOnceDesired } from './model.ts'
import { resourceTopic } from './store.ts'

/** Why a resource must not be deleted at the moment, as a sentence; null if it may. Later concepts add reasons. */
export const deletionHolds = defineExtensionPoint<(work: Work, resourceId: string) => Promise<string | null>>('holds on deletions')

/** Called in the transaction of a change of what is desired of a resource, after it. Later concepts let follow what depends on the resource. */
export const followers = defineExtensionPoint<(work: Work, resourceId: string) => Promise<void>>('followers of resources')

export async function letFollow(work: Work, resourceId: string): Promise<void> {
  for (const follow of followers.of(work.app)) await follow(work, resourceId)
}

export type Lifecycle<Row, Shown, Name extends string> = {
  type: IdType
  table: string
  /** The field of results, such as `database`. */
  name: Name
  /** The end of the commands' names, such as `Database`. */
  Name: string
  noun: string
  /** A row without its sealed values, as results contain it. */
  shown(row: Row): Shown
  /** For changes; a deletion requires `delete:` of the same objects. */
  permissions: { manage: Permission; delete: Permission }
  /** Disconnects the resource from services. Throws `resource_in_use` if there are any, unless `force`. */
  disconnect(work: Work, resourceId: string, options: { force: boolean }): Promise<void>
  disconnectEmits: readonly EventDefinition[]
}

type WithVersion = SupervisedRow & { version: number }

/** Locks the row within the caller's scope. Null if it does not exist, and for one that is being deleted, unless `deleted`. */
export const lockResource =
  <Row>(table: string, { deleted = false }: { deleted?: boolean } = {}) =>
  (work: Work, ids: Record<string, string>): Promise<Row | null> =>
    row<Row>(
      work.tx,
      sql`select t.* from ${raw(table)} t where t.id = ${ids.id}::uuid and ${visible(work.caller, sql`t`)}
          and (${deleted} or t.desired_state <> 'DELETED') for update`,
    )

export function lifecycleCommands<Row extends WithVersion, Shown, const Name extends string>(kind: Lifecycle<Row, Shown, Name>) {
  const { type, table, name, Name, noun, permissions } = kind
  const resultOf = (found: Row) => ({ [name]: kind.shown(found) }) as Record<Name, Shown>
  const update = async (work: Work, target: Row, assignments: Sql): Promise<Row> => {
    work.wake(table, resourceTopic(target.id))
    const updated = (await row<Row>(
      work.tx,
      sql`update ${raw(table)} set ${assignments}, version = version + 1 where id = ${target.id}::uuid returning *`,
    ))!
    await letFollow(work, target.id)
    return updated
  }
  const desired = (state: DesiredState) =>
    sql`desired_state = ${state}::desired_state, status = ${statusOnceDesired(sql`${state}::desired_state`, sql`status`)}, next_start_at = null`
  const common = {
    permission: permissions.manage,
    ids: { id: type },
    targetType: type,
    target: lockResource<Row>(table),
    input: z.object({}),
    emits: [],
  }

  const start = defineCommand<object, Record<Name, Shown>, Row>({
    ...common,
    name: `start${Name}`,
    description: `Starts a stopped ${noun} and returns it with the status \`STARTING\`. Starting one that should run already returns it unchanged.`,
    run: async (work, _input, target: Row) =>
      resultOf(target.desiredState === 'RUNNING' ? target : await update(work, target, desired('RUNNING'))),
  })
  const stop = defineCommand<object, Record<Name, Shown>, Row>({
    ...common,
    name: `stop${Name}`,
    description: `Stops a ${noun}, keeps its data and returns it with the status \`STOPPING\`. One that is starting is stopped once it runs. Stopping a stopped ${noun} returns it unchanged.`,
    run: async (work, _input, target: Row) =>
      resultOf(target.desiredState === 'STOPPED' ? target : await update(work, target, desired('STOPPED'))),
  })
  const restart = defineCommand<object, Record<Name, Shown>, Row>({
    ...common,
    name: `restart${Name}`,
    description: `Restarts a ${noun}, which closes its connections and applies settings that need a restart. Returns it with the status \`STARTING\`. A stopped ${noun} is started. One that has not run yet or has failed keeps its status until it runs.`,
    run: async (work, _input, target: Row) => resultOf(await update(work, target, sql`${desired('RUNNING')}, generation = generation + 1`)),
  })
  const remove = defineCommand({
    ...common,
    name: `delete${Name}`,
    description: `Deletes a ${noun} with its data. Fails with \`resource_in_use\` while it is connected to services, unless \`force\` is true, and with \`resource_busy\` while another operation uses it. It remains readable until its data is removed.`,
    permission: permissions.delete,
    target: lockResource<Row>(table, { deleted: true }),
    input: z.object({ force: z.boolean().nullish() }),
    emits: kind.disconnectEmits,
    async run(work, { force }, target: Row) {
      if (target.desiredState !== 'DELETED') {
        await kind.disconnect(work, target.id, { force: Boolean(force) })
        for (const hold of deletionHolds.of(work.app)) {
          const reason = await hold(work, target.id)
          if (reason) throw resourceErrors.resource_busy({ field: 'id', text: reason })
        }
        await markDeleted(work, table, target.id)
      }
      return { deletedId: target.id }
    },
  })
  return { start, stop, restart, remove }
}

/** Marks a resource as being deleted. Its row stays until the supervisor has removed the data. */
export async function markDeleted(work: Work, table: string, id: string): Promise<void> {
  work.wake(table, resourceTopic(id))
  await row(
    work.tx,
    sql`update ${raw(table)} set desired_state = 'DELETED', status = 'DELETING', version = version + 1 where id = ${id}::uuid returning id`,
  )
  await letFollow(work, id)
}
