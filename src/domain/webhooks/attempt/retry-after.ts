/** The header Retry-After (RFC 9110): seconds, or a date in any of the three forms that HTTP has ever had. Pure. */

/** How long after `now` to come again, in milliseconds; null for a time gone by, and for anything else. */
export function readRetryAfter(value: string | undefined, now: Date): number | null {
  const text = value?.trim() ?? ''
  const ms = /^\d{1,12}$/.test(text) ? Number(text) * 1_000 : (readDate(text, now) ?? Number.NaN) - now.getTime()
  return ms > 0 ? ms : null
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const month = `(?<month>${months.join('|')})`
const time = String.raw`(?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d)`
const forms = [
  // Sun, 06 Nov 1994 08:49:37 GMT
  String.raw`(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?<day>\d\d) ${month} (?<year>\d{4}) ${time} GMT`,
  // Sunday, 06-Nov-94 08:49:37 GMT
  String.raw`(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?<day>\d\d)-${month}-(?<year>\d\d) ${time} GMT`,
  // Sun Nov  6 08:49:37 1994, which is GMT as well
  String.raw`(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ${month} (?<day>[ \d]\d) ${time} (?<year>\d{4})`,
].map((form) => new RegExp(`^${form}$`))

function readDate(text: string, now: Date): number | null {
  const parts = forms.map((form) => form.exec(text)?.groups).find((found) => found !== undefined)
  if (!parts) return null
  const [day, hour, minute, second] = [parts.day, parts.hour, parts.minute, parts.second].map(Number) as [number, number, number, number]
  const at = (year: number) => Date.UTC(year, months.indexOf(parts.month!), day, hour, minute, second)
  if (hour > 23 || minute > 59 || second > 60 || new Date(at(2_000)).getUTCMonth() !== months.indexOf(parts.month!)) return null
  return at(parts.year!.length === 4 ? Number(parts.year) : fullYear(Number(parts.year), now))
}

/** Of two digits: the century that brings it within 50 years. */
function fullYear(twoDigits: number, now: Date): number {
  const thisYear = now.getUTCFullYear()
  const year = thisYear - (thisYear % 100) + twoDigits
  if (year > thisYear + 50) return year - 100
  return year <= thisYear - 50 ? year + 100 : year
}
