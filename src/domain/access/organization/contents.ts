import { defineExtensionPoint } from '../../../platform/concept.ts'
import { raw, run, sql } from '../../../platform/db/index.ts'
import type { EventDefinition } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'

/** `more`: call again at once. `waiting`: something in the background has to finish first. `done`: nothing is left. */
export type Removal = 'done' | 'more' | 'waiting'

/**
 * The order in which an organization is removed. `objects` are what people made: services, databases, buckets. `records` tell of them: messages,
 * events, audit entries; they are removed when no object is left. `access` is what lets a person see the progress, and is removed in the
 * transaction that deletes the organization itself.
 */
export type RemovalPhase = 'objects' | 'records' | 'access'

/** Something that a concept keeps for organizations. */
export type OrganizationContents = {
  name: string
  phase: RemovalPhase
  emits?: readonly EventDefinition[]
  /**
   * Removes a limited number of rows of the caller's organization, which is being deleted, or has them removed in the background. Called until
   * it is done, and once more at the end. In the phase `access` it removes everything.
   */
  remove(work: Work): Promise<Removal>
}

/** Whatever concepts keep for organizations. Every table that has an organization belongs to one of them. */
export const organizationContents = defineExtensionPoint<OrganizationContents>('contents of organizations')

/** Rows of a concept's tables that are removed with the organization itself, in this order. */
export const rowsOfAccess = (name: string, tables: readonly string[]): OrganizationContents => ({
  name,
  phase: 'access',
  async remove({ tx, caller }) {
    for (const table of tables) await run(tx, sql`delete from ${raw(table)} where organization_id = ${caller.organizationId}::uuid`)
    return 'done'
  },
})
