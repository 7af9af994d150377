# Writes a file: $asked.path, from $data (base64), where its SHA-256 is $asked.sha256.
# Only on a machine that is marked as a lab target.
param($asked, $data)
$ErrorActionPreference = 'Stop'
$key = 'HKLM:\SOFTWARE\kernellab'
$mark = Get-ItemProperty -LiteralPath $key -Name LabMachine -ErrorAction SilentlyContinue
if ($null -eq $mark -or $mark.LabMachine -ne 1) { return @{ marked = $false } }
$folder = Split-Path -Parent $asked.path
New-Item -ItemType Directory -Force -Path $folder | Out-Null
$beside = $asked.path + '.' + [Guid]::NewGuid().ToString('N')
try {
    $file = [System.IO.File]::Create($beside)
    try {
        foreach ($line in $data) {
            $bytes = [Convert]::FromBase64String($line)
            $file.Write($bytes, 0, $bytes.Length)
        }
    } finally {
        $file.Close()
    }
    $found = (Get-FileHash -Algorithm SHA256 -LiteralPath $beside).Hash.ToLowerInvariant()
    if ($found -eq $asked.sha256) {
        Move-Item -Force -LiteralPath $beside -Destination $asked.path
    }
    @{ marked = $true; sha256 = $found }
} finally {
    Remove-Item -Force -LiteralPath $beside -ErrorAction SilentlyContinue
}
