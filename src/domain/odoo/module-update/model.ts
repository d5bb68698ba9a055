/** Which modules a deployment installs or updates, and with which command. */
import type { ModuleUpdateRequest } from '../../deploys/environment-action/index.ts'

/** A module of a release: its version by the manifest, and a digest of its files. */
export type ReleaseModule = { name: string; version: string | null; digest: string }

/** What is known of the modules of a database. Null for one that is not initialised. `installed` is part of `known`. */
export type DatabaseModules = { installed: ReadonlySet<string>; known: ReadonlySet<string> } | null

export type UpdateChoice = { type: 'none' } | { type: 'install' | 'update'; modules: string[] }

/** Modules of a release that another one did not have, or had with other files. */
export function changedFiles(former: readonly ReleaseModule[], next: readonly ReleaseModule[]): ReleaseModule[] {
  const digests = new Map(former.map(({ name, digest }) => [name, digest]))
  return next.filter(({ name, digest }) => digests.get(name) !== digest)
}

export type Refused = { refused: string }

/** Without a request, modules whose files have changed are updated. `former`: modules of the live release. Refuses modules that do not exist, or that cannot be updated because they are not installed. */
export function chooseUpdate(
  request: ModuleUpdateRequest | null,
  database: DatabaseModules,
  release: readonly ReleaseModule[],
  former: readonly ReleaseModule[],
): UpdateChoice | Refused {
  const known = new Set([...(database?.known ?? []), ...release.map(({ name }) => name)])
  const named = request?.mode === 'UPDATE_SPECIFIC' || request?.mode === 'REINITIALIZE_SPECIFIC' ? [...new Set(request.modules)] : []
  // A database that is not initialised knows none of Odoo's own modules. Odoo names one that it does not find in its log.
  const unknown = database === null ? [] : named.filter((name) => !known.has(name))
  if (unknown.length > 0) return { refused: `There is no module ${unknown.join(', ')} in the addons of the release or in Odoo.` }
  if (database === null) return { type: 'install', modules: ['base', ...named.filter((name) => name !== 'base')] }
  if (request?.mode === 'PULL_RESTART') return { type: 'none' }
  if (request?.mode === 'UPDATE_ALL') return { type: 'update', modules: ['all'] }
  if (request?.mode === 'REINITIALIZE_SPECIFIC') return { type: 'install', modules: named }
  if (request?.mode === 'UPDATE_SPECIFIC') {
    const missing = named.filter((name) => !database.installed.has(name))
    if (missing.length > 0)
      return {
        refused: `The module ${missing.join(', ')} is not installed, so it cannot be updated. Use the mode REINITIALIZE_SPECIFIC to install it.`,
      }
    return { type: 'update', modules: named }
  }
  const changed = changedFiles(former, release).filter(({ name }) => database.installed.has(name))
  return changed.length > 0 ? { type: 'update', modules: changed.map(({ name }) => name) } : { type: 'none' }
}

/** Completes the command that starts the server. It ends by itself, serves nothing and runs no scheduled action. */
export const updateCommand = (startCommand: string, { type, modules }: Exclude<UpdateChoice, { type: 'none' }>): string =>
  `${startCommand} ${type === 'install' ? '-i' : '-u'} ${modules.join(',')} --stop-after-init --no-http --workers 0`

/** For the log. */
export function describeChoice({ type, modules }: Exclude<UpdateChoice, { type: 'none' }>): string {
  const names = modules[0] === 'all' ? 'all installed modules' : modules.join(', ')
  if (type === 'update') return `Updating ${names}.`
  return `${modules[0] === 'base' ? 'Initializing the database. ' : ''}Installing ${names}.`
}
