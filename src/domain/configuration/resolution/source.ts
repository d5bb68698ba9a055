/** Sources of variables other than env vars and secrets. Later concepts add them. */
import type { EnvironmentType } from '../../../generated/prisma/client.ts'
import { defineExtensionPoint } from '../../../platform/concept.ts'
import type { Tx } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import type { Candidate } from './resolve.ts'

/** What a source knows of a service. */
export type ServiceFacts = {
  id: string
  organizationId: string
  projectId: string
  name: string
  slug: string
  environmentName: string
  environmentType: EnvironmentType
}

/** The deployment that variables are resolved for. Without one, they are resolved for the live deployment, if any. */
export type Revision = { deploymentId: string; commitHash: string | null; branch: string | null }

/** A variable of a source. The fingerprint defaults to that of the value, and a null `changedAt` to the creation of the service. */
export type GivenVariable = Omit<Candidate, 'fingerprint' | 'changedAt'> & { fingerprint?: string; changedAt: Date | null }

export type VariableSource = {
  kind: 'RESOURCE_CONNECTION' | 'PLATFORM_DEFAULT'
  /** Reads the variables of many services, by service id, in a fixed number of statements. */
  load(
    read: { app: App; tx: Tx },
    services: readonly ServiceFacts[],
    revisions: ReadonlyMap<string, Revision>,
  ): Promise<ReadonlyMap<string, readonly GivenVariable[]>>
}

export const variableSources = defineExtensionPoint<VariableSource>('sources of variables')
