/** The browser and system of a User-Agent header, as people know them. @param {string | null} userAgent */
export function deviceOf(userAgent) {
  if (!userAgent) return 'Unknown device'
  const browser = [
    ['Edge', /\bEdg/],
    ['Opera', /\bOPR\//],
    ['Firefox', /\bFirefox\//],
    ['Chrome', /Chrom(e|ium)\//],
    ['Safari', /\bSafari\//],
  ].find(([, pattern]) => /** @type {RegExp} */ (pattern).test(userAgent))
  const system = [
    ['Android', /\bAndroid\b/],
    ['iOS', /\b(iPhone|iPad)\b/],
    ['Windows', /\bWindows\b/],
    ['macOS', /\bMacintosh\b/],
    ['Linux', /\bLinux\b/],
  ].find(([, pattern]) => /** @type {RegExp} */ (pattern).test(userAgent))
  if (!browser) return userAgent.slice(0, 60)
  return system ? `${browser[0]} on ${system[0]}` : String(browser[0])
}
