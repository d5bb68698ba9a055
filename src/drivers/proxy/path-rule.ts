import type { PathRule } from '../../domain/deploys/instance/ports.ts'

/** What applies to a request target (path and query) under the rules of a route. Null if none of them names the path. */
export function ruleFor(rules: readonly PathRule[] | undefined, target: string): PathRule['to'] | null {
  if (rules === undefined || rules.length === 0) return null
  const path = plainPath(target)
  return rules.find((rule) => path === rule.path || path.startsWith(`${rule.path}/`))?.to ?? null
}

/**
 * The path as apps may understand it: characters are decoded, repeated slashes count once, and dot segments are resolved. A rule that hides
 * a page must not depend on how its path is written.
 */
function plainPath(target: string): string {
  const path = target.split(/[?#]/, 1)[0]!.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  const segments: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop()
    else if (segment !== '' && segment !== '.') segments.push(segment)
  }
  return `/${segments.join('/')}`
}
