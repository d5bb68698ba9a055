/** The addons in a repository: where they are, and how a release of them is built. */
import { PortError } from '../../../platform/errors.ts'
import type { SourceTree, SuppliedPlan } from '../../deploys/instance/index.ts'

/** What a release of an instance remembers of its source. */
export type OdooRelease = {
  odooVersion: string
  /** Directories of modules within the release. */
  addons: string[]
}

/** Directories that contain no modules of the repository, and may be large. */
const skipped = /^(\.|node_modules$|__pycache__$)/
const deepest = 4

const below = (path: string, name: string) => (path === '.' ? name : `${path}/${name}`)
const isModule = (tree: SourceTree, path: string) => tree.isFile(`${path}/__manifest__.py`)

async function hasModules(tree: SourceTree, path: string): Promise<boolean> {
  for (const name of (await tree.directories(path)) ?? []) if (await isModule(tree, below(path, name))) return true
  return false
}

/** The directories with modules: the root if it has some, and those below it, but not those within a module. */
async function findAddons(tree: SourceTree, path = '.', depth = 0): Promise<string[]> {
  const names = ((await tree.directories(path)) ?? []).filter((name) => !skipped.test(name))
  const found: string[] = []
  let hasOwn = false
  for (const name of names) {
    if (await isModule(tree, below(path, name))) hasOwn = true
    else if (depth < deepest) found.push(...(await findAddons(tree, below(path, name), depth + 1)))
  }
  return hasOwn ? [path, ...found] : found
}

/** The directories that `addonsPath` names. Throws BUILD_FAILED for one without modules. */
async function declaredAddons(tree: SourceTree, addonsPath: string): Promise<string[]> {
  const paths = addonsPath.split(',').map((path) => path.trim())
  for (const path of paths) {
    if (await hasModules(tree, path)) continue
    const is = (await tree.directories(path)) === null ? 'is no directory of the repository' : 'contains no module'
    throw new PortError('BUILD_FAILED', `addonsPath: ${path} ${is}.`, {
      hint: 'Correct addonsPath with updateOdooInstance, or set it to null to find the addons, then deploy again.',
    })
  }
  return paths
}

/** Commands and the file of settings both separate paths by characters that must not be part of one. */
const unusable = /[,"'$`\\\s]/

export async function planAddons(
  tree: SourceTree,
  { odooVersion, addonsPath, startCommand }: { odooVersion: string; addonsPath: string | null; startCommand: string },
): Promise<SuppliedPlan> {
  const addons = addonsPath === null ? await findAddons(tree) : await declaredAddons(tree, addonsPath)
  const wrong = addons.find((path) => unusable.test(path))
  if (wrong !== undefined)
    throw new PortError('BUILD_FAILED', `The name of the directory ${wrong} contains a character that is not possible in addonsPath.`, {
      hint: 'Rename the directory.',
    })
  const requirements: string[] = []
  for (const path of new Set(['.', ...addons])) {
    const file = below(path, 'requirements.txt')
    if (await tree.isFile(file)) requirements.push(file)
  }
  const facts: OdooRelease = { odooVersion, addons }
  const where = addons.length === 0 ? 'no addons' : `addons in ${addons.join(', ')}`
  return {
    detected: `odoo ${odooVersion}, ${where}`,
    steps: requirements.length > 0 ? installSteps(requirements) : [],
    startCommand,
    facts,
  }
}

const installSteps = (requirements: string[]): string[] => [
  'python3 -m venv --system-site-packages --clear .venv',
  `.venv/bin/python -m pip install --disable-pip-version-check ${requirements.map((file) => `-r ${file}`).join(' ')}`,
]
