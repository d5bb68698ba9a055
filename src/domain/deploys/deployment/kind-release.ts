/** What a kind of service does in RELEASE, and how it is undone. Later concepts register it here. */
import type { Deployment, WebService, WebServiceKind } from '../../../generated/prisma/client.ts'
import { defineExtensionPoint } from '../../../platform/concept.ts'
import type { Tx } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import type { Failure } from './model.ts'
import type { Run } from './run.ts'

export type KindRelease = {
  kind: WebServiceKind
  /** In place of the release command. Called again after a lost worker. */
  run(run: Run): Promise<'done' | 'skipped'>
  /** Called when a deployment is continued after a lost worker, in any phase. Throws StepFailed if it was being undone. */
  resume(run: Run): Promise<void>
  /**
   * Called when a deployment ends without going live, after its instances were stopped. The former release starts afterwards. `failure`: null for
   * a cancelled deployment. Called again, after `resume`, until it succeeds.
   */
  undo(run: Run, failure: Failure | null): Promise<void>
  /** What a plan says of it. `restores`: the deployment that a rollback restores. */
  warnings(read: { app: App; tx: Tx }, service: WebService, restores: Deployment | null): Promise<string[]>
}

export const kindReleases = defineExtensionPoint<KindRelease>('releases of kinds of services')

/** Null for a kind that has none. */
export const kindReleaseOf = (app: App, kind: WebServiceKind): KindRelease | null =>
  kindReleases.of(app).find((release) => release.kind === kind) ?? null
