import type { ResourceBinding } from '../../../generated/prisma/client.ts'
import { defineExtensionPoint } from '../../../platform/concept.ts'
import type { Tx } from '../../../platform/db/index.ts'
import type { IdType } from '../../../platform/id.ts'
import type { App, Work } from '../../../platform/work.ts'
import type { ValueHandle } from '../../configuration/resolution/index.ts'

/** A value that a service receives through a binding. The values of a binding are in the order of its variables. */
export type BoundValue = {
  value: ValueHandle
  /** Default: that of the value. */
  fingerprint?: string
  isSecret: boolean
  isShort: boolean
  /** Incremented with every change of the value, such as a rotated password. */
  version: number
  changedAt: Date
  changedBy: string
}

/** A resource of an environment, or, where these are null, of the organization. */
export type Connectable = { id: string; projectId: string | null; environmentId: string | null }

/** A binding, as far as its values depend on it. */
export type BoundTo = Pick<ResourceBinding, 'id' | 'resourceId'>

/** A kind of resource that can be bound to services. */
export type BindableKind = {
  type: IdType
  /** Names of the variables that a binding with this alias gives, in the order of the values. Without an alias: the kind's own names. */
  variables(alias: string | null): readonly string[]
  /** Locks a resource of the kind within the caller's scope. Null if it does not exist or is being deleted. */
  lock(work: Work, id: string): Promise<Connectable | null>
  /** The values of many bindings of this kind, by the binding's id, in one statement. */
  valuesOf(read: { app: App; tx: Tx }, bindings: readonly BoundTo[]): Promise<ReadonlyMap<string, readonly BoundValue[]>>
}

/** `valuesOf` of a kind that gives all services the same value. `read` returns it for many resources, by their id. */
export const oneValueFor =
  (
    read: (tx: Tx, resourceIds: readonly string[]) => Promise<readonly (readonly [id: string, value: BoundValue])[]>,
  ): BindableKind['valuesOf'] =>
  async ({ tx }, bindings) => {
    const values = new Map(
      await read(
        tx,
        bindings.map(({ resourceId }) => resourceId),
      ),
    )
    return new Map(bindings.flatMap(({ id, resourceId }) => (values.has(resourceId) ? [[id, [values.get(resourceId)!]] as const] : [])))
  }

/** Each kind of resource that services can be bound to. */
export const bindableKinds = defineExtensionPoint<BindableKind>('bindable kinds of resources')
