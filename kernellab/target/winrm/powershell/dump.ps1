# The newest small dump, where it is younger than $asked.seconds: that of a bug check just now.
param($asked, $data)
$ErrorActionPreference = 'Stop'
$now = [DateTime]::UtcNow
$system = Get-CimInstance -ClassName Win32_OperatingSystem
$uptime = ($now - $system.LastBootUpTime.ToUniversalTime()).TotalSeconds
$folder = Join-Path $env:SystemRoot 'Minidump'
$file = Get-ChildItem -LiteralPath $folder -Filter '*.dmp' -ErrorAction SilentlyContinue |
    Sort-Object -Property LastWriteTimeUtc | Select-Object -Last 1
if ($null -eq $file -or ($now - $file.LastWriteTimeUtc).TotalSeconds -gt $asked.seconds) {
    return @{ uptime = $uptime; name = ''; data = '' }
}
if ($file.Length -gt 16777216) { throw ($file.Name + ' is too large to be a small dump') }
@{ uptime = $uptime; name = $file.Name; data = [Convert]::ToBase64String([System.IO.File]::ReadAllBytes($file.FullName)) }
