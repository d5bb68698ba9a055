import { defineExtensionPoint } from '../../../platform/concept.ts'
import type { Tx } from '../../../platform/db/index.ts'
import type { IdType } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'

/** A value that a resource gives to the services it is bound to. The values of a resource are in the order of a binding's variables. */
export type BoundValue = {
  /** Identity that the value is sealed for, and the sealed value. */
  identity: string
  sealed: Uint8Array
  fingerprint: string
  isSecret: boolean
  isShort: boolean
  /** Incremented with every change of the value, such as a rotated password. */
  version: number
  changedAt: Date
  changedBy: string
}

export type Connectable = { id: string; projectId: string; environmentId: string }

/** A kind of resource that can be bound to services. */
export type BindableKind = {
  type: IdType
  /** Names of the variables that a binding with this alias gives, in the order of the values. Without an alias: the kind's own names. */
  variables(alias: string | null): readonly string[]
  /** Locks a resource of the kind within the caller's scope. Null if it does not exist or is being deleted. */
  lock(work: Work, id: string): Promise<Connectable | null>
  /** The values of many resources, by id, in one statement. Resources of other kinds are omitted. */
  valuesOf(tx: Tx, resourceIds: readonly string[]): Promise<ReadonlyMap<string, readonly BoundValue[]>>
}

/** Each kind of resource that services can be bound to. */
export const bindableKinds = defineExtensionPoint<BindableKind>('bindable kinds of resources')
