import { defineExtensionPoint } from '../../../platform/concept.ts'
import type { Tx } from '../../../platform/db/index.ts'
import type { IdType } from '../../../platform/id.ts'

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

/** A kind of resource that can be bound to services. */
export type BindableKind = {
  type: IdType
  /** The values of many resources, by id, in one statement. Resources of other kinds are omitted. */
  valuesOf(tx: Tx, resourceIds: readonly string[]): Promise<ReadonlyMap<string, readonly BoundValue[]>>
}

/** Each kind of resource that services can be bound to. */
export const bindableKinds = defineExtensionPoint<BindableKind>('bindable kinds of resources')
