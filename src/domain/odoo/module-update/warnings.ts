/** What plans say of module updates. */
import type { Deployment, WebService } from '../../../generated/prisma/client.ts'
import type { Tx } from '../../../platform/db/index.ts'
import { changedFiles, type ReleaseModule } from './model.ts'
import { liveModules, updateOf } from './store.ts'

/** The release of a rollback is known, that of another deployment not before its build. */
export async function updateWarnings({ tx }: { tx: Tx }, { id }: WebService, restores: Deployment | null): Promise<string[]> {
  const live = await liveModules(tx, id)
  if (!restores) {
    if (live.length === 0) return []
    return [
      `Installed modules whose files have changed are updated, of ${namesOf(live)}. The instance is stopped meanwhile, and requests wait or are answered with 503. If the update fails, the database and the former release come back.`,
    ]
  }
  const target = ((await updateOf(tx, restores.id))?.modules ?? []) as ReleaseModule[]
  const changed = changedFiles(live, target)
  const kept = 'The database is not rolled back. What later versions of modules have added to it stays.'
  return changed.length === 0
    ? []
    : [`${namesOf(changed)} are updated to the files of that release, while the instance is stopped. ${kept}`]
}

const namesOf = (modules: readonly { name: string }[]) => modules.map(({ name }) => name).join(', ')
