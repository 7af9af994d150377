# Restarts the machine, a moment after this has answered.
param($asked, $data)
& "$env:SystemRoot\System32\shutdown.exe" /r /t 2 /d p:0:0 | Out-Null
if ($LASTEXITCODE -ne 0) { throw ('shutdown.exe ended with ' + $LASTEXITCODE) }
@{ restarting = $true }
