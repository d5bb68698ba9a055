/** Where variables beside a service's own and its secrets come from: later concepts add a source each. */
import type { EnvironmentType } from '../../../generated/prisma/client.ts'
import { defineExtensionPoint } from '../../../platform/concept.ts'
import type { Tx } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import type { Candidate } from './resolve.ts'

/** A service as sources see it. */
export type ServiceFacts = {
  id: string
  organizationId: string
  projectId: string
  name: string
  slug: string
  environmentName: string
  environmentType: EnvironmentType
}

/** A deployment for which something is resolved; absent: what is live, or nothing. */
export type Revision = { deploymentId: string; commitHash: string | null; branch: string | null }

/** What a source gives: the fingerprint of a plain value is filled in, and the service's creation where nothing else was changed. */
export type GivenVariable = Omit<Candidate, 'fingerprint' | 'changedAt'> & { fingerprint?: string; changedAt: Date | null }

export type VariableSource = {
  kind: 'RESOURCE_CONNECTION' | 'PLATFORM_DEFAULT'
  /** The variables of many services, by service id, in few statements. */
  load(
    read: { app: App; tx: Tx },
    services: readonly ServiceFacts[],
    revisions: ReadonlyMap<string, Revision>,
  ): Promise<ReadonlyMap<string, readonly GivenVariable[]>>
}

export const variableSources = defineExtensionPoint<VariableSource>('sources of variables')
