/** Fetches one commit, or the history of a branch, from the remote into the repository of a session. */
import { commitNotFound, contextOf, explainFailure, isUnadvertised, isUnknownRef } from './failure.ts'
import type { GitSession } from './session.ts'

/** Each step fetches more history if the commit was not found in the previous one. The last one bounds the cost of a pin. */
const HISTORY_DEPTHS = [50, 1_000, 50_000]

export type FetchContent = 'commits' | 'everything'

/**
 * Fetches only the commit `hash`. If the server does not serve commits by hash, fetches the history of `branch` (null: of all branches).
 * Throws COMMIT_NOT_FOUND if the commit does not exist there.
 */
export async function fetchCommit(session: GitSession, hash: string, branch: string | null, content: FetchContent): Promise<void> {
  const direct = await session.network([...fetchArgs(1, content), hash])
  if (direct.exitCode === 0 && (await hasCommit(session, hash))) return
  if (direct.exitCode !== 0 && !isUnadvertised(direct)) throw failure(session, direct)
  const found = await searchHistory(session, branch, content, () => hasCommit(session, hash))
  if (!found) throw commitNotFound(`There is no commit ${hash} in ${place(branch)}.`)
}

/** Fetches more and more of the history until `isFound` returns true. Returns false if the history ends before that. */
export async function searchHistory(
  session: GitSession,
  branch: string | null,
  content: FetchContent,
  isFound: () => Promise<boolean>,
): Promise<boolean> {
  let refs = branch === null ? '+refs/heads/*:refs/quayside/*' : `+refs/heads/${branch}:refs/quayside/${branch}`
  for (const depth of HISTORY_DEPTHS) {
    let fetched = await session.network([...fetchArgs(depth, content), refs])
    // The name may be that of a tag.
    if (branch !== null && isUnknownRef(fetched) && refs.startsWith('+refs/heads/')) {
      refs = `+refs/tags/${branch}:refs/quayside/${branch}`
      fetched = await session.network([...fetchArgs(depth, content), refs])
    }
    if (isUnknownRef(fetched)) throw commitNotFound(`There is no branch or tag ${branch} to find the commit in.`)
    if (fetched.exitCode !== 0) throw failure(session, fetched)
    if (await isFound()) return true
    if (await isComplete(session)) return false
  }
  return false
}

export function failure(session: GitSession, result: Parameters<typeof explainFailure>[0]) {
  return explainFailure(result, contextOf(session.transport, session.repository))
}

function fetchArgs(depth: number, content: FetchContent): string[] {
  const filter = content === 'commits' ? ['--filter=tree:0'] : []
  return ['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', `--depth=${depth}`, ...filter, 'origin']
}

async function hasCommit(session: GitSession, hash: string): Promise<boolean> {
  const type = await session.local(['cat-file', '-e', `${hash}^{commit}`])
  return type.exitCode === 0
}

async function isComplete(session: GitSession): Promise<boolean> {
  const shallow = await session.mustLocal(['rev-parse', '--is-shallow-repository'])
  return shallow.stdout.toString().trim() === 'false'
}

function place(branch: string | null): string {
  return branch === null ? 'the repository' : `the branch ${branch}`
}
