# The newest small dump that is none of $asked.known: that of a bug check just now. Where those are not
# told, one that is younger than $asked.seconds.
param($asked, $data)
$ErrorActionPreference = 'Stop'
$now = [DateTime]::UtcNow
$system = Get-CimInstance -ClassName Win32_OperatingSystem
$uptime = ($now - $system.LastBootUpTime.ToUniversalTime()).TotalSeconds
$folder = Join-Path $env:SystemRoot 'Minidump'
$files = @(Get-ChildItem -LiteralPath $folder -Filter '*.dmp' -ErrorAction SilentlyContinue |
    Sort-Object -Property LastWriteTimeUtc)
if ($null -ne $asked.known) {
    $files = @($files | Where-Object { @($asked.known) -notcontains $_.Name })
} else {
    $files = @($files | Where-Object { ($now - $_.LastWriteTimeUtc).TotalSeconds -le $asked.seconds })
}
$file = $files | Select-Object -Last 1
if ($null -eq $file) {
    return @{ uptime = $uptime; name = ''; data = '' }
}
if ($file.Length -gt 16777216) { throw ($file.Name + ' is too large to be a small dump') }
@{ uptime = $uptime; name = $file.Name; data = [Convert]::ToBase64String([System.IO.File]::ReadAllBytes($file.FullName)) }
