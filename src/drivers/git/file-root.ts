/** Which folders may contain file: repositories. Links are resolved, so that a path inside a root cannot lead out of it. */
import { lstatSync, readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { SourceFailureCode } from '../../domain/deploys/deployment/ports.ts'
import { PortError } from '../../platform/errors.ts'
import type { GitSettings } from './options.ts'

/** Throws SOURCE_REJECTED if the path, with all links resolved, is outside the roots. The path need not exist. */
export function checkFileRoot(path: string, settings: Pick<GitSettings, 'fileRoots' | 'forbiddenRoots'>): void {
  const real = realPathOf(resolve(path))
  const isBelow = (root: string) => isInside(real, realPathOf(resolve(root)))
  if (settings.forbiddenRoots.some(isBelow))
    throw new PortError<SourceFailureCode>('SOURCE_REJECTED', 'The repository must not be inside the data directory.')
  if (settings.fileRoots.some(isBelow)) return
  throw new PortError<SourceFailureCode>(
    'SOURCE_REJECTED',
    'The repository is outside the folders that GIT_FILE_ROOTS allows for file: repositories.',
    {
      hint: 'Add the folder of the repository to GIT_FILE_ROOTS.',
    },
  )
}

/** The git directory of the repository at `path`, found as git finds it. Throws REPOSITORY_MISSING or SOURCE_REJECTED. */
export function findGitDirectory(path: string, settings: Pick<GitSettings, 'fileRoots' | 'forbiddenRoots'>): string {
  checkFileRoot(path, settings)
  for (const candidate of [join(path, '.git'), path, join(`${path}.git`, '.git'), `${path}.git`]) {
    const found = gitDirectoryAt(candidate)
    if (found === null) continue
    checkFileRoot(found, settings)
    return found
  }
  throw new PortError<SourceFailureCode>('REPOSITORY_MISSING', `There is no git repository at ${path}.`)
}

function gitDirectoryAt(candidate: string): string | null {
  const kind = kindOf(candidate)
  if (kind === 'directory') return kindOf(join(candidate, 'HEAD')) === 'none' ? null : realpathSync(candidate)
  if (kind !== 'file' || basename(candidate) !== '.git') return null
  // A worktree or a submodule: the file contains the path of the git directory.
  const target = /^gitdir: (.+)$/m.exec(readFileSync(candidate, 'utf8').slice(0, 4096))?.[1]
  return target === undefined ? null : realPathOf(resolve(dirname(candidate), target))
}

function kindOf(path: string): 'directory' | 'file' | 'none' {
  try {
    const stats = lstatSync(realpathSync(path))
    return stats.isDirectory() ? 'directory' : stats.isFile() ? 'file' : 'none'
  } catch {
    return 'none'
  }
}

/** The path with the links of its existing part resolved. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    const parent = dirname(path)
    return parent === path ? path : join(realPathOf(parent), basename(path))
  }
}

function isInside(path: string, root: string): boolean {
  return path === root || path.startsWith(root.endsWith('/') ? root : `${root}/`)
}
