/** What a kind of service adds to the deployments and instances of its services. Later concepts register their kinds here. */
import type { WebServiceKind } from '../../../generated/prisma/client.ts'
import { defineExtensionPoint } from '../../../platform/concept.ts'
import type { Tx } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import type { ExtraSettings } from '../../apps/web-service/index.ts'
import type { Check } from './health.ts'
import type { LaunchFacts } from './launch.ts'
import type { BuildRequest, PathRule, StartRequest, StepIo } from './ports.ts'

/** A service of such a kind can be deployed without a repository: its source tree is then empty. */
export type KindExtension = {
  kind: WebServiceKind
  /** Settings beside those that all services have, which deployments pin too, as they are now. */
  settings(tx: Tx, serviceId: string): Promise<ExtraSettings>
  /**
   * Called in PREPARE, with the settings. Returns what else is pinned for the build, such as the commit of a source, and may wait for what the
   * service needs. Throws PortError.
   */
  pin(app: App, place: { serviceId: string; organizationId: string }, settings: ExtraSettings, io: StepIo): Promise<ExtraSettings>
  build(app: App, pinned: ExtraSettings): Pick<BuildRequest, 'plan' | 'tools'>
  /** For instances and release commands. */
  launch(app: App, facts: LaunchFacts): Promise<Pick<StartRequest, 'files' | 'secondPort'>>
  /** Checks beside that of `healthCheckPath` which a new instance must pass. */
  checks(pinned: ExtraSettings): readonly Check[]
  rules: readonly PathRule[]
  /** Number of failed checks in a row after which an instance that was healthy counts as unhealthy. */
  failuresAllowed: number
}

export const kindExtensions = defineExtensionPoint<KindExtension>('kinds of services')

/** The extension of a kind. Null for a kind without one. */
export const kindOf = (app: App, kind: WebServiceKind): KindExtension | null =>
  kindExtensions.of(app).find((extension) => extension.kind === kind) ?? null
