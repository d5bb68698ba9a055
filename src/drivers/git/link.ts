/** Checks the symbolic links of a completed checkout: resolves them as the kernel does, without leaving the tree. */
import { readlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { sourceRejected } from './failure.ts'

/** The kernel's own limit. A link with more hops does not resolve. */
const HOPS = 40

/** `links` are relative to `root`. Throws SOURCE_REJECTED with the first link that is absolute or leads above the root. */
export async function refuseLinksOutOfTree(root: string, links: string[]): Promise<void> {
  for (const link of links) {
    if (await leavesTree(root, link))
      throw sourceRejected(
        `The link "${link}" points out of the source, to "${await readlink(join(root, link))}".`,
        'Remove the link, or make it point to a file of the repository.',
      )
  }
}

async function leavesTree(root: string, link: string): Promise<boolean> {
  const position = dirname(link)
    .split('/')
    .filter((part) => part !== '.')
  const target = await readlink(join(root, link))
  if (target.startsWith('/')) return true
  const ahead = target.split('/')
  let hops = 1
  while (ahead.length > 0) {
    const part = ahead.shift() ?? ''
    if (part === '' || part === '.') continue
    if (part === '..') {
      // Links before a `..` have been resolved, so this is the real parent.
      if (position.pop() === undefined) return true
      continue
    }
    const next = await targetOf(join(root, ...position, part))
    if (next === null) position.push(part)
    else if (next.startsWith('/')) return true
    else if (++hops > HOPS) return false
    else ahead.unshift(...next.split('/'))
  }
  return false
}

async function targetOf(path: string): Promise<string | null> {
  try {
    return await readlink(path)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'EINVAL' || code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return null
    throw error
  }
}
