/**
 * Where to go after signing in: the address of the path in `?return=`, or null if that isn't a path of this origin. A path that a browser
 * could read as another origin (`//host`, `/\host`, with control characters between) is refused, and so is this page itself.
 * @param {string} query @param {string} origin @returns {string | null} the whole address, since a path of it may begin with `//`
 */
export function returnAddress(query, origin) {
  const text = new URLSearchParams(query).get('return')
  if (text === null || !/^\/(?![/\\])[^\\\p{Cc}]*$/u.test(text)) return null
  const url = new URL(text, origin)
  if (url.origin !== origin || url.pathname.replace(/\/$/, '') === '/login') return null
  return url.href
}
