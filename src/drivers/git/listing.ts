/** Lists the files of a commit and checks them before any of them is written. */
import { StringDecoder } from 'node:string_decoder'
import { sourceRejected } from './failure.ts'
import type { GitLimits } from './options.ts'
import type { GitSession } from './session.ts'

/** Remaining size and number of files. All parts of a tree share one budget. */
export type Budget = { bytes: number; files: number; limits: GitLimits }

export type TreeListing = {
  files: number
  bytes: number
  links: string[]
  submodules: { path: string; hash: string }[]
  /** Paths of .gitattributes files, and of files small enough to be LFS pointers. */
  attributes: string[]
  small: string[]
  hasModulesFile: boolean
}

/** An LFS pointer is smaller than this, according to its specification. */
const POINTER_BYTES = 1024

/** Lists a tree and subtracts it from the budget. Throws SOURCE_REJECTED for a path that is not allowed and for a tree that is too large. */
export async function listTree(session: GitSession, commit: string, under: string, budget: Budget): Promise<TreeListing> {
  const listing: TreeListing = { files: 0, bytes: 0, links: [], submodules: [], attributes: [], small: [], hasModulesFile: false }
  const decoder = new StringDecoder('utf8')
  let pending = ''
  await session.mustLocal(['ls-tree', '-r', '-l', '-z', '--full-tree', commit], {
    onStdout(chunk) {
      const records = (pending + decoder.write(chunk)).split('\0')
      pending = records.pop() ?? ''
      for (const record of records) add(listing, record, under, budget)
    },
  })
  return listing
}

function add(listing: TreeListing, record: string, under: string, budget: Budget): void {
  const tab = record.indexOf('\t')
  const [mode, , hash = '', size = ''] = record.slice(0, tab).split(/ +/)
  const path = record.slice(tab + 1)
  const shown = under === '' ? path : `${under}/${path}`
  refuseBadPath(path, shown)
  const bytes = size === '-' ? 0 : Number(size)
  listing.files += 1
  listing.bytes += bytes
  spend(budget, { bytes, files: 1 })
  if (mode === '160000') listing.submodules.push({ path: exact(path, shown), hash })
  else if (mode === '120000') listing.links.push(exact(path, shown))
  else {
    if (path === '.gitmodules') listing.hasModulesFile = true
    if (path === '.gitattributes' || path.endsWith('/.gitattributes')) listing.attributes.push(path)
    if (bytes < POINTER_BYTES) listing.small.push(path)
  }
}

/** Throws SOURCE_REJECTED when the whole tree exceeds its limits. */
export function spend(budget: Budget, { bytes, files }: { bytes: number; files: number }): void {
  budget.bytes -= bytes
  budget.files -= files
  if (budget.bytes < 0) throw sourceRejected(`The source is larger than ${budget.limits.treeBytes} bytes.`)
  if (budget.files < 0) throw sourceRejected(`The source has more than ${budget.limits.treeFiles} files.`)
}

function refuseBadPath(path: string, shown: string): void {
  const parts = path.split('/')
  const isBad = parts.some((part) => part === '' || part === '.' || part === '..' || part.toLowerCase() === '.git')
  if (isBad) throw sourceRejected(`The path "${shown}" is not allowed in a source.`)
}

/** Throws for a path that is not valid UTF-8: opening it later would open another path. */
function exact(path: string, shown: string): string {
  if (path.includes('\ufffd')) throw sourceRejected(`The link or submodule "${shown}" has a name that is not valid UTF-8.`)
  return path
}
